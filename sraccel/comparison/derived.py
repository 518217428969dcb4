"""Every figure of a comparison that follows from what was timed: medians, ratios, the prediction.

A comparison fills them in, and `verification` computes them again from a report's file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sraccel.comparison.noise import noise_of, verdict_of
from sraccel.comparison.prediction import predict
from sraccel.loop.clock import median
from sraccel.report.model import Report, Timing


def derive(report: Report) -> None:
    """Fill in what follows from `repeats`, `call_repeats`, `cpu_repeats`, `steps` and `costs`."""
    baseline, accelerated = report.baseline, report.accelerated
    for timing in (baseline, accelerated):
        if timing is not None:
            fill_in_medians(timing)
    if report.costs:
        predict(report)
    if baseline is not None and accelerated is not None:
        _measure(report, baseline, accelerated)


def fill_in_medians(timing: Timing) -> None:
    """The medians of what was timed, and which repeat is nearest to that of the loop."""
    if timing.repeats:
        timing.seconds = median(timing.repeats)
        timing.shown = nearest_to_median(timing.repeats)
    timing.call_seconds = _median(timing.call_repeats)
    timing.cpu_seconds = _median(timing.cpu_repeats)


def nearest_to_median(seconds: list[float]) -> int:
    """The index of the value that is nearest to the median; the first of equally near ones."""
    middle = median(seconds)
    return min(range(len(seconds)), key=lambda index: abs(seconds[index] - middle))


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def _measure(report: Report, baseline: Timing, accelerated: Timing) -> None:
    speedup = report.speedup
    ratios = _ratios(baseline.repeats, accelerated.repeats)
    speedup.measured = _median(ratios)
    speedup.measured_range = (min(ratios), max(ratios)) if ratios else None
    speedup.whole_call = _median(_ratios(baseline.call_repeats, accelerated.call_repeats))
    if report.environment.get("device", "").startswith("cpu"):
        speedup.cpu = _median(_ratios(baseline.cpu_repeats, accelerated.cpu_repeats))
    if speedup.predicted and speedup.measured is not None:
        speedup.rest = speedup.measured / speedup.predicted
    speedup.noise = noise_of(report)
    speedup.verdict = verdict_of(report)


def _ratios(bare: Iterable[float], accelerated: Iterable[float]) -> list[float]:
    """Of each pair; one whose accelerated run took no measurable time says nothing."""
    pairs = zip(bare, accelerated, strict=False)
    return [one / other for one, other in pairs if other > 0 and math.isfinite(one) and one > 0]
