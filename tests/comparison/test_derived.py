"""Figures of a comparison follow from what was timed, and no more is claimed than noise allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sraccel.comparison.derived import derive
from sraccel.comparison.verification import verify
from sraccel.report.claim import claim
from sraccel.report.headline import figures, notices
from sraccel.report.model import (
    AcceleratorRecord,
    CallRecord,
    CostRecord,
    Report,
    StepRecord,
    Timing,
)

CACHE = "cache"
SECONDS = st.floats(0.01, 100)


def compared(
    pairs: Sequence[tuple[float, float]],
    *,
    reused: bool = True,
    calls: Sequence[float] = (1.0,) * 8,
) -> Report:
    """Runs of two steps, the second of which a cache may skip; each pair is (bare, ours)."""
    bare, ours = zip(*pairs, strict=True)
    middle = sorted(ours)[(len(ours) - 1) // 2]
    steps = [
        StepRecord(
            index=index,
            denoiser="transformer",
            seconds=middle / 2,
            calls=[
                CallRecord(
                    branch="cond",
                    requested="transformer",
                    denoiser="transformer",
                    reused=skipped,
                    level="blocks" if skipped else None,
                    reused_by=CACHE if skipped else None,
                    seconds=middle / 2,
                )
            ],
        )
        for index, skipped in enumerate((False, reused))
    ]
    report = Report(
        outcome="finished",
        num_inference_steps=2,
        baseline=Timing(seconds=0, repeats=list(bare), call_repeats=list(bare)),
        accelerated=Timing(seconds=0, repeats=list(ours), call_repeats=list(ours)),
        accelerators=[AcceleratorRecord(name=CACHE, reused_calls=int(reused))],
        steps=steps,
        costs=[
            CostRecord(
                denoiser="transformer",
                skipped=None,
                call_seconds=list(calls),
                rest_seconds=[0.1],
            ),
            CostRecord(denoiser="transformer", skipped="blocks", call_seconds=[0.1]),
        ],
    )
    derive(report)
    return report


@given(pairs=st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=6))
def test_every_derived_figure_follows_from_the_file(pairs: list[tuple[float, float]]) -> None:
    read = Report.from_json(compared(pairs).to_json())
    names = {check.name for check in verify(read) if "sum of" not in check.name}
    wrong = [check for check in verify(read) if not check.agrees and "sum of" not in check.name]
    assert not wrong
    assert {"speedup.measured", "speedup.predicted", "accelerators[0].factor"} <= names


@pytest.mark.parametrize(
    "tamper",
    [
        lambda report: setattr(report.speedup, "measured", 5.0),
        lambda report: setattr(report.speedup, "verdict", "measured"),
        lambda report: setattr(report.speedup, "predicted", 9.9),
        lambda report: setattr(report.accelerators[0], "factor", 1.01),
        lambda report: setattr(report.accelerators[0], "reused_calls", 7),
        lambda report: setattr(report.accelerated, "seconds", 0.5),
        lambda report: setattr(report, "switch_step", 1),
        lambda report: report.costs[0].call_seconds.extend([50.0] * 30),
        lambda report: report.accelerated.repeats.__setitem__(0, 40.0),
    ],
)
def test_a_figure_that_was_changed_is_found(tamper: object) -> None:
    report = compared([(2.0, 1.9), (2.0, 2.1), (2.0, 2.0)])
    assert all(check.agrees for check in verify(report))
    tamper(report)  # type: ignore[operator]
    assert not all(check.agrees for check in verify(report))


@given(
    pairs=st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=6),
    swapped=st.booleans(),
)
def test_pairs_on_both_sides_of_one_are_never_headlined_as_a_speedup(
    pairs: list[tuple[float, float]], swapped: bool
) -> None:
    pairs = [*pairs, (pairs[0][1], pairs[0][0])]  # whatever came out, and the opposite
    report = compared(pairs)
    ratios = [bare / ours for bare, ours in pairs]
    assert report.speedup.verdict == "indistinguishable" or min(ratios) == max(ratios) == 1
    if report.speedup.verdict == "indistinguishable":
        (headline, *_) = figures(report)
        assert headline.value.startswith("cannot be told from 1")


def test_a_run_that_did_what_a_bare_one_does_is_never_headlined_as_a_speedup() -> None:
    """However steadily the pairs say so: 1.24 in each of five."""
    report = compared([(1.24, 1.0)] * 5, reused=False)
    assert report.speedup.measured == pytest.approx(1.24)
    assert report.speedup.verdict == "idle"
    assert claim(report.speedup) == "nothing was accelerated"
    report.quality = {"psnr_db": 31.0}  # it did do something
    derive(report)
    assert report.speedup.verdict == "measured"


def test_pairs_that_scatter_by_more_than_the_effect_give_a_range() -> None:
    report = compared([(2.0, 1.0), (4.0, 1.0), (8.0, 1.0)])
    assert report.speedup.verdict == "scattered"
    assert claim(report.speedup).startswith("2.00")
    assert claim(report.speedup).endswith("8.00\N{MULTIPLICATION SIGN}")


def test_scatter_that_is_not_small_beside_the_effect_is_named() -> None:
    """Seen once: 3.50 of 2.75 to 9.09, beside medians whose quotient was another."""
    pairs = [(7.55, 1.44 * 7.55 / 1.44 / 3.50), (3.96, 1.44), (13.09, 1.44)]
    report = compared(pairs)
    assert report.speedup.verdict == "measured"
    assert any(notice.startswith("noise: ") for notice in notices(report))
    denoising = next(figure for figure in figures(report) if figure.label == "Denoising")
    assert "whose quotient is 5.24" in denoising.detail
    quiet = compared([(3.50, 1.0), (3.52, 1.0), (3.48, 1.0)])
    assert not notices(quiet)


def test_of_one_pair_the_noise_is_that_of_the_bare_run() -> None:
    busy = (1.0, 1.0, 1.0, 1.0, 1.6, 1.6, 1.0, 1.0)
    assert compared([(1.3, 1.0)], calls=busy).speedup.verdict == "indistinguishable"
    assert compared([(1.3, 1.0)]).speedup.verdict == "measured"
    assert compared([(3.0, 1.0)], calls=busy).speedup.verdict == "measured"


@given(ours=st.lists(SECONDS, min_size=1, max_size=7))
def test_the_run_that_is_shown_is_the_one_nearest_to_the_median(ours: list[float]) -> None:
    report = compared([(10.0, seconds) for seconds in ours])
    assert report.accelerated is not None
    shown = report.accelerated.shown
    assert shown is not None
    nearest = min(abs(seconds - report.accelerated.seconds) for seconds in ours)
    assert abs(ours[shown] - report.accelerated.seconds) == nearest
    assert not math.isnan(report.accelerated.seconds)
