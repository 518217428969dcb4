"""The report of a run in a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import pytest
from parsed_page import Page
from rich.console import Console

from sraccel.report.contributions import contribution
from sraccel.report.headline import figures, switch_facts
from sraccel.report.model import (
    AcceleratorRecord,
    CallRecord,
    HandoffRecord,
    Report,
    Speedup,
    StepRecord,
)
from sraccel.report.page import render_page
from sraccel.report.steps import role_letters
from sraccel.report.table import StepStrip, plain, table
from sraccel.report.words import ASCII, TIMES, upper_first

MakeReport = Callable[..., Report]


def text(report: Report, width: int = 80) -> str:
    return plain(table(report), width)


def test_str_of_a_report_says_what_was_measured_and_what_was_predicted(make_report: MakeReport):
    shown = str(make_report())
    rows = {line[:18].strip(): line[18:].strip() for line in shown.splitlines()}
    assert rows["Measured speedup"].startswith("3.42x (3.31x to 3.47x, 3 pairs of runs; the whole")
    assert rows["Predicted speedup"] == "3.37x (measured / predicted 1.01)"
    assert rows["Denoising"] == "529 ms (bare 1.81 s; 50 steps; medians)"
    assert rows["PSNR"] == "31.2 dB (to the bare run)"
    assert rows["SSIM"] == "0.953 (to the bare run)"
    assert rows["Switch"] == "at step 18, where srdiffusion chose render"
    assert rows["Peak memory"].startswith("831 MiB")


@pytest.mark.parametrize("name", ["make_report", "bare_minimum"])
def test_terminal_page_and_notebook_say_the_same(request: pytest.FixtureRequest, name: str):
    given = request.getfixturevalue(name)
    report = given() if callable(given) else given
    shown = " ".join(text(report, 200).split())
    page, notebook = render_page(report, {}), report._repr_html_()
    for figure in figures(report):
        for words in (figure.label, figure.value, figure.detail):
            assert words.translate(ASCII) in shown
            assert words in page
            assert words in notebook
    for words in (part for fact in switch_facts(report) for part in fact):
        assert upper_first(words) in shown or words in shown
        assert escape(words) in page.replace("&#39;", "&#x27;")
    for part in map(contribution, report.accelerators):
        for words in (part.name, part.value, part.remark, part.did):
            assert words in page
            assert words in notebook


def test_warnings_come_first(make_report: MakeReport):
    shown = text(make_report())
    assert shown.index("emulated kernel; its quality") < shown.index("Measured speedup")


def test_what_was_not_measured_is_called_that_and_no_number_is_invented(bare_minimum: Report):
    shown = text(bare_minimum)
    lines = {line.split("  ")[0].strip(): line for line in shown.splitlines()}
    labels = ("Measured speedup", "Predicted speedup", "Quality", "Denoising", "Peak memory")
    for label in labels:
        assert "not measured" in lines[label]
    words = Page(render_page(bare_minimum, {})).text + bare_minimum._repr_html_()
    assert not re.search(r"\d[x\N{MULTIPLICATION SIGN}]|dB", shown + words)


def test_an_accelerator_shows_a_factor_or_an_overhead_and_says_if_it_is_an_estimate(
    make_report: MakeReport,
):
    rows = {line.split()[0]: line for line in text(make_report()).splitlines() if line.strip()}
    words = " ".join(text(make_report()).split())
    assert "1.98x" in rows["srdiffusion"]
    assert "estimate" not in rows["srdiffusion"]
    assert "1.81x (estimate)" in rows["teacache"]
    assert "0.94x (overhead;" in rows["sageattention"]
    assert "claims no speed)" in words


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (HandoffRecord(kind="identity"), ["identity"]),
        (
            HandoffRecord(
                kind="re-encode",
                seconds=1.5,
                share=0.12,
                decode_seconds=0.9,
                encode_seconds=0.5,
                noise_level_before=0.8335,
                noise_level_after=0.8,
            ),
            [
                "re-encode",
                "0.8335 before the switch, 0.8 after it",
                "1.5 s, 12 % of the run (decoding 900 ms, encoding 500 ms)",
            ],
        ),
    ],
    ids=["identity", "re-encode"],
)
def test_the_hand_off_shows_what_is_known_of_it(
    make_report: MakeReport, record: HandoffRecord, shown: list[str]
):
    lines = text(make_report().model_copy(update={"handoff": record}), width=140).splitlines()
    names = ("Hand-off", "Noise level", "Hand-off time")
    found = [line[18:].strip() for line in lines if line[:18].strip() in names]
    assert found == shown


MADE_NONE = AcceleratorRecord(name="any")
MADE_ALL = AcceleratorRecord(
    name="any", chosen_calls=50, reused_calls=1, predicted_calls=1, answered_calls=2
)
NOTES = AcceleratorRecord(name="any", notes={"fell_back": None, "kernel": "emulated"})


@pytest.mark.parametrize(
    ("record", "did"),
    [
        (MADE_NONE, ["nothing to note"]),
        (MADE_ALL, ["had another model answer 50 calls", "skipped 1 call", "answered 2 calls"]),
        (NOTES, ["fell back: no", "kernel: emulated"]),
    ],
)
def test_what_an_accelerator_did_needs_no_glossary(
    record: AcceleratorRecord, did: list[str], bare_minimum: Report
):
    bare_minimum.accelerators = [record]
    shown = text(bare_minimum, 200)
    assert all(words in shown for words in did), shown


def test_a_run_that_did_not_finish_says_how_far_it_came(make_report: MakeReport):
    report = make_report().model_copy(update={"outcome": "partial", "num_inference_steps": 80})
    assert "The run is not whole: partial; 50 of 80 steps were taken." in text(report)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_console(make_report: MakeReport, width: int):
    report = make_report(count=200, switch=70)
    assert max(map(len, text(report, width).splitlines())) <= width


def test_the_strip_has_a_letter_a_computed_step_a_dot_a_reused_one_and_a_bar_at_the_switch(
    make_report: MakeReport,
):
    lines = StepStrip(make_report(count=8, switch=4).steps).lines()
    assert lines == {"cond": "T..T|R.R.", "uncond": "TT.T|R.R."}


def test_branches_that_did_the_same_share_a_line(make_report: MakeReport):
    report = make_report(count=4, switch=2)
    for step in report.steps:
        step.calls[1].reused = step.calls[0].reused
    assert list(StepStrip(report.steps).lines()) == ["cond, uncond"]


def test_a_branch_that_a_step_lacks_leaves_a_gap(make_report: MakeReport):
    report = make_report(count=4, switch=4)
    del report.steps[2].calls[1]
    assert StepStrip(report.steps).lines()["uncond"] == "TT T"


def test_a_folded_strip_keeps_every_step(make_report: MakeReport):
    shown = text(make_report(count=150, switch=40), width=60)
    strip = "".join(line.split()[1] for line in shown.splitlines() if line.startswith(" cond"))
    assert len(strip.replace("|", "")) == 150


def test_every_role_has_a_letter_of_its_own():
    roles = ["transformer", "transformer_2", "render"]
    calls = [CallRecord(branch="cond", requested=role, denoiser=role) for role in roles]
    steps = [StepRecord(index=0, denoiser="transformer", calls=calls)]
    assert role_letters(steps) == {"transformer": "T", "transformer_2": "2", "render": "R"}


def test_square_brackets_in_notes_and_warnings_are_shown_as_they_are(make_report: MakeReport):
    report = make_report()
    report.warnings.append("see accelerators[1].threshold and [bold]")
    report.accelerators[0].notes["shapes"] = "[4, 64]"
    assert "accelerators[1].threshold and [bold]" in text(report)
    assert "[4, 64]" in text(report)


def test_the_table_survives_a_terminal_without_unicode(make_report: MakeReport, tmp_path):
    with (tmp_path / "plain.txt").open("w", encoding="ascii") as file:
        Console(file=file, width=80).print(table(make_report()))
    assert "3.42x" in (tmp_path / "plain.txt").read_text(encoding="ascii")


def test_more_bytes_than_anybody_has_are_not_measured(make_report: MakeReport):
    report = make_report(count=4, switch=2)
    report.peak_memory_bytes = report.accelerators[0].cache_bytes = 10**400
    (line,) = [line for line in text(report).splitlines() if "Peak memory" in line]
    assert "not measured" in line
    assert "kept between" not in text(report)


def test_steps_without_calls_have_no_strip(bare_minimum: Report):
    for step in bare_minimum.steps:
        step.calls = []
    assert "steps  " not in text(bare_minimum)


def test_what_an_emulated_kernel_costs_stands_beside_the_measured_speedup() -> None:
    report = Report(
        outcome="finished",
        num_inference_steps=2,
        speedup=Speedup(measured=4.0, measured_range=(3.9, 4.1), predicted=4.0),
        accelerators=[AcceleratorRecord(name="emulated", overhead=0.8, claims_speed=False)],
    )
    named = {figure.label: figure.value for figure in figures(report)}
    assert named["Without emulating"] == f"5.00{TIMES}"
    report.accelerators[0].overhead = None
    assert "Without emulating" not in {figure.label for figure in figures(report)}
