from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sraccel.errors import OutputError
from sraccel.report.model import Report
from sraccel.report.timeline import draw_timeline, save_timeline

MakeReport = Callable[..., Report]


def test_the_timeline_is_a_png(make_report: MakeReport, tmp_path: Path):
    path = save_timeline(make_report(), tmp_path / "timeline.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width >= 1200


def test_each_call_is_a_cell_in_its_model_s_colour_hatched_where_it_was_reused(
    make_report: MakeReport,
):
    report = make_report(count=8, switch=4)
    strip, *_ = draw_timeline(report).axes
    assert len(strip.patches) == 16
    colours = {True: set(), False: set()}
    for patch, record in zip(
        strip.patches, (call for step in report.steps for call in step.calls), strict=True
    ):
        assert bool(patch.get_hatch()) == record.reused
        colours[record.reused].add((record.denoiser, patch.get_facecolor()))
    assert len(colours[False]) == len(colours[True]) == 2


def test_the_bars_of_a_step_stack_up_to_its_calls_seconds(make_report: MakeReport):
    report = make_report(count=8, switch=4)
    bars = draw_timeline(report).axes[1]
    tops: dict[float, float] = {}
    for bar in bars.patches:
        centre = round(bar.get_x() + bar.get_width() / 2)
        tops[centre] = max(tops.get(centre, 0), bar.get_y() + bar.get_height())
    for step in report.steps:
        assert tops[step.index] == pytest.approx(1000 * sum(call.seconds for call in step.calls))


def test_the_metric_is_drawn_where_it_was_taken_and_the_switch_is_marked(make_report: MakeReport):
    report = make_report(count=8, switch=4)
    metric = draw_timeline(report).axes[2]
    curve, switch = metric.lines
    taken = [step.index for step in report.steps if step.noise_rel_l1 is not None]
    assert list(curve.get_xdata()) == taken
    assert set(switch.get_xdata()) == {3.5}
    assert "render from step 4" in metric.texts[0].get_text()


def test_what_was_not_measured_is_called_that(bare_minimum: Report):
    _, bars, metric = draw_timeline(bare_minimum).axes
    assert "not measured" in bars.texts[0].get_text()
    assert "not measured" in metric.texts[0].get_text()


def test_drawing_leaves_pyplot_alone(make_report: MakeReport, tmp_path: Path):
    from matplotlib import _pylab_helpers

    save_timeline(make_report(count=4, switch=2), tmp_path / "timeline.png")
    assert not _pylab_helpers.Gcf.figs


def test_a_run_without_steps_cannot_be_drawn_and_says_so(tmp_path: Path):
    report = Report(outcome="partial", num_inference_steps=4)
    with pytest.raises(OutputError, match="before its first step"):
        save_timeline(report, tmp_path / "timeline.png")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_named(make_report: MakeReport, tmp_path: Path):
    with pytest.raises(OutputError, match=r"nowhere/timeline\.png"):
        save_timeline(make_report(count=4, switch=2), tmp_path / "nowhere" / "timeline.png")
