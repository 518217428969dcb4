"""Noise: by how much the same work varies, and what can be claimed of a speedup beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sraccel.report.model import CallRecord, Report, Verdict
from sraccel.report.words import IDENTICAL, metric

PARTS = 4
"""Stretches of a bare run that are compared with one another where there is one pair alone."""


def noise_of(report: Report) -> float | None:
    """By which factor the same work varied, 1 or more; None where too little was measured.

    Of several pairs of runs: the greatest of their ratios over the least. What slows down both runs
    of a pair is not in it. Of one pair: the slowest quarter of the bare run over the fastest one,
    model by model.
    """
    if (pairs := _pairs(report)) > 1:
        return _spread(report.speedup.measured_range or ())
    quarters = [_spread(means) for means in _quarters(report)]
    known = [spread for spread in quarters if spread is not None]
    return max(known, default=None) if pairs == 1 else None


def verdict_of(report: Report) -> Verdict | None:
    """What can be claimed of the measured speedup; None where there is none."""
    speedup = report.speedup
    measured, noise = speedup.measured, speedup.noise
    if measured is None or not math.isfinite(measured) or measured <= 0:
        return None
    if is_idle(report):
        return "idle"
    if noise is None or abs(math.log(measured)) > math.log(noise):
        return "measured"
    least, greatest = speedup.measured_range or (measured, measured)
    one_sided = _pairs(report) > 1 and (least > 1 or greatest < 1)
    return "scattered" if one_sided else "indistinguishable"


def is_idle(report: Report) -> bool:
    """Whether a run did what a bare one does.

    No step was left out, no call had another model or was skipped or answered otherwise, no
    accelerator that claims speed changed a denoiser, and the frames, where they were compared, are
    the bare run's.
    """
    if report.planned_by is not None or any(map(_acted, _calls(report))):
        return False
    if any(record.prepares and record.claims_speed for record in report.accelerators):
        return False
    psnr = (report.quality or {}).get("psnr_db")
    return psnr is None or metric("psnr_db").number(psnr) == IDENTICAL


def _calls(report: Report) -> Iterator[CallRecord]:
    return (call for step in report.steps for call in step.calls)


def _acted(call: CallRecord) -> bool:
    """Whether any accelerator had a part in a call."""
    by = (call.chosen_by, call.reused_by, call.answered_by)
    return bool(call.skips) or any(name is not None for name in by)


def _pairs(report: Report) -> int:
    timings = (report.baseline, report.accelerated)
    return min(len(timing.repeats) if timing is not None else 0 for timing in timings)


def _quarters(report: Report) -> Iterator[list[float]]:
    """Mean seconds of the bare run's calls in each of its stretches, of each model."""
    asked = {call.requested for step in report.steps for call in step.calls}
    for cost in report.costs:
        bare = cost.denoiser in asked and not (cost.skipped or cost.shares or cost.prepared_by)
        seconds = cost.call_seconds
        if bare and len(seconds) >= 2 * PARTS:
            size = len(seconds) / PARTS
            parts = [seconds[int(n * size) : int((n + 1) * size)] for n in range(PARTS)]
            yield [sum(part) / len(part) for part in parts]


def _spread(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value) and value > 0]
    return max(known) / min(known) if len(known) > 1 else None
