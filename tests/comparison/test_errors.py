"""What goes wrong in a comparison loses no run and leaves the pipeline as it was."""

from __future__ import annotations

from typing import Any

import pytest
from diffusers import WanPipeline
from misbehaving import presses_ctrl_c
from tiny_models import call_arguments
from untouched import untouched

import sraccel
from sraccel.plugin import Metric
from sraccel.recipe.catalogue import installed
from sraccel.report.model import Report

EMPTY = "the recipe is empty: nothing was accelerated"


def test_comparing_an_empty_recipe_says_so_once(pipe: WanPipeline, caplog: Any) -> None:
    comparison = sraccel.compare(pipe, [], **call_arguments(steps=2))
    assert EMPTY in comparison.report.warnings
    assert [record.getMessage() for record in caplog.records].count(EMPTY) == 1


def test_a_metric_that_fails_is_a_warning_and_loses_no_run(
    pipe: WanPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(video: Any, bare: Any) -> float:
        raise ZeroDivisionError("oops")

    for name, compare in (("raises", raises), ("nothing", lambda *_: float("nan"))):
        monkeypatch.setitem(installed().metrics, name, Metric(name, compare))
    call = {**call_arguments(steps=2), "output_type": "np"}
    report = sraccel.compare(pipe, [], warmup=False, **call).report
    assert report.quality == {"psnr_db": 100, "ssim": pytest.approx(1)}
    assert "the metric 'raises' raised ZeroDivisionError: oops" in report.warnings
    assert "the metric 'nothing' gave nan, which says nothing" in report.warnings
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("phase", "steps"),
    [("warming up", 2), ("warming up again", 5), ("bare", 8), ("accelerated", 14), ("probing", 19)],
)
def test_a_comparison_can_be_interrupted_anywhere(
    phase: str, steps: int, pipe: WanPipeline, render: Any
) -> None:
    """Three steps of warming up each way, six bare, six accelerated, then the probes."""
    reported: list[str] = []
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 2}]
    call = call_arguments(steps=6, callback_on_step_end=presses_ctrl_c(steps))
    with untouched(pipe, render), pytest.raises(KeyboardInterrupt):
        sraccel.compare(pipe, recipe, progress=lambda what, *_: reported.append(what), **call)
    assert len(reported) == steps
    assert phase.startswith(reported[-1].split()[0])
