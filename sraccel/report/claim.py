"""What is claimed of a measured speedup, in words: as much as its noise allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sraccel.report.words import NOT_MEASURED, TIMES, decimals, factor, finite, positive

if TYPE_CHECKING:
    from sraccel.report.model import Report, Speedup, Timing

UNTOLD = f"cannot be told from 1{TIMES} here"
IDLE = "nothing was accelerated"
UNCLAIMED = ("idle", "indistinguishable", "scattered")
"""Verdicts under which the median is no headline."""
NOISY = 0.5
"""Of the logarithm of a speedup: scatter beyond this share of it is pointed out."""
OFF = 1.05
"""From this factor on, two figures side by side need an explanation."""


def claim(speedup: Speedup) -> str:
    """The measured speedup, if that can be claimed: `3.42x`; else a range, or why not."""
    if speedup.verdict == "idle":
        return IDLE
    if speedup.verdict == "indistinguishable":
        return UNTOLD
    if speedup.verdict == "scattered":
        return " to ".join(map(factor, speedup.measured_range or ()))
    return factor(speedup.measured, missing=NOT_MEASURED)


def claim_alone(speedup: Speedup) -> str:
    """The same where nothing beside it says what it is: `3.42x measured`."""
    return claim(speedup) + " measured" * (speedup.verdict not in ("idle", "indistinguishable"))


def grounds(report: Report) -> str:
    """What a measured speedup rests on: runs and their scatter, CPU time, the whole call."""
    speedup = report.speedup
    parts = [f"median {factor(speedup.measured)}"] * (speedup.verdict in UNCLAIMED)
    parts.append(_pairs(report))
    if speedup.cpu is not None:
        parts.append(f"of CPU seconds {factor(speedup.cpu)}")
    if speedup.whole_call is not None:
        parts.append(f"the whole call {factor(speedup.whole_call)}")
    return "; ".join(parts)


def _pairs(report: Report) -> str:
    """How many pairs of runs there were, and how far they lay apart."""
    speedup = report.speedup
    if _repeats(report) < 2:
        noise = finite(speedup.noise)
        within = f", within which equal work varied by {factor(noise)}" if noise else ""
        return f"one pair of runs{within}"
    said = f"{_repeats(report)} pairs of runs"
    if speedup.measured_range is None or speedup.verdict == "scattered":
        return said
    return f"{' to '.join(map(factor, speedup.measured_range))}, {said}"


def noise_notices(report: Report) -> Iterator[str]:
    """That a figure rests on runs that scatter, where the scatter is not small beside it."""
    speedup = report.speedup
    noise, measured = positive(speedup.noise), positive(speedup.measured)
    if noise is None or measured is None or speedup.verdict == "idle":
        return
    if noise > 1 and math.log(noise) > NOISY * abs(math.log(measured)):
        several = _repeats(report) > 1
        what = "equal pairs of runs differ" if several else "equal work in the bare run varies"
        yield (
            f"noise: {what} by a factor of {decimals(noise, 2)}, so the speedup is known no better "
            "than that; measure on a quiet machine, with more repeats"
        )


def drawn_run(report: Report) -> Iterator[str]:
    """Of several repeats: that seconds are medians, and which run's steps are shown."""
    bare, ours = report.baseline, report.accelerated
    if bare is None or ours is None or len(ours.repeats) < 2:
        return
    yield "medians" + _quotient(bare, ours, report.speedup)
    if ours.shown is not None:
        yield f"steps are those of run {ours.shown + 1} of {len(ours.repeats)}"


def _quotient(bare: Timing, ours: Timing, speedup: Speedup) -> str:
    """What the medians' quotient has to do with the speedup, where the two are not the same."""
    one, other, measured = map(positive, (bare.seconds, ours.seconds, speedup.measured))
    if one is None or other is None or measured is None:
        return ""
    off = one / other / measured
    if max(off, 1 / off) <= OFF:
        return ""
    return f", whose quotient is {factor(one / other)}; the speedup is the median of the pairs' own"


def _repeats(report: Report) -> int:
    return len(report.accelerated.repeats) if report.accelerated else 0
