"""Whether the figures of a report follow from its raw ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sraccel.comparison.derived import derive
from sraccel.report.model import Report, Speedup, Timing

TOLERANCE = 1e-6
"""Relative; a figure is written with all of its digits."""
CLOCK_TOLERANCE = 1e-3
"""Relative, of sums over marks of a clock (CUDA's have a resolution of half a microsecond)."""


@dataclass(frozen=True)
class Check:
    """A figure of a report, beside what follows from the others.

    Attributes:
        name: its key in the JSON.
        stated, found: what the report says, and what was computed.
    """

    name: str
    stated: Any
    found: Any
    tolerance: float = TOLERANCE

    @property
    def agrees(self) -> bool:
        """Whether they are the same, numbers within the tolerance."""
        stated, found = self.stated, self.found
        if isinstance(stated, (tuple, list)) and isinstance(found, (tuple, list)):
            pairs = zip(stated, found, strict=False)
            same = all(Check(self.name, *pair, self.tolerance).agrees for pair in pairs)
            return len(stated) == len(found) and same
        if isinstance(stated, float) and isinstance(found, float):
            both_nan = math.isnan(stated) and math.isnan(found)
            return both_nan or math.isclose(stated, found, rel_tol=self.tolerance)
        return bool(stated == found)


def verify(report: Report) -> list[Check]:
    """Compute every derived figure of a report again, and set it beside the one that is stated.

    Raw are the repeats' seconds, the costs, and the steps with their calls. Quality is not computed
    again: it was measured on the frames before they were compressed to a video.
    """
    again = report.model_copy(deep=True)
    again.speedup = Speedup()
    for record in again.accelerators:
        record.factor = record.overhead = None
        record.estimated = False
    derive(again)
    checks = [*_of_speedup(report, again), *_of_timings(report, again)]
    return [*checks, *_of_accelerators(report, again), *_of_steps(report)]


def _of_speedup(report: Report, again: Report) -> Iterator[Check]:
    for name in Speedup.model_fields:
        stated, found = getattr(report.speedup, name), getattr(again.speedup, name)
        if (stated, found) != (None, None):
            yield Check(f"speedup.{name}", stated, found)


def _of_timings(report: Report, again: Report) -> Iterator[Check]:
    for way in ("baseline", "accelerated"):
        timing, computed = getattr(report, way), getattr(again, way)
        for name in ("seconds", "call_seconds", "cpu_seconds", "shown"):
            stated, found = getattr(timing, name, None), getattr(computed, name, None)
            if stated is not None and (name != "shown" or len(timing.repeats) > 1):
                yield Check(f"{way}.{name}", stated, found)


def _of_accelerators(report: Report, again: Report) -> Iterator[Check]:
    loop = [call for step in report.steps for call in step.calls]
    calls = [one for call in loop for one in (call, *call.evaluations)]
    for number, (record, computed) in enumerate(
        zip(report.accelerators, again.accelerators, strict=True)
    ):
        where = f"accelerators[{number}]"
        for name in ("factor", "overhead", "estimated"):
            stated, found = getattr(record, name), getattr(computed, name)
            if (stated, found) not in ((None, None), (False, False)):
                yield Check(f"{where}.{name}", stated, found)
        chosen = sum(call.chosen_by == record.name for call in loop) + sum(
            one.chosen_by == record.name != call.chosen_by
            for call in loop
            for one in call.evaluations
        )
        reused = sum(call.reused_by == record.name for call in calls)
        predicted = sum(call.predicted_by == record.name for call in calls)
        answered = sum(call.answered_by == record.name for call in loop)
        yield Check(f"{where}.chosen_calls", record.chosen_calls, chosen)
        yield Check(f"{where}.reused_calls", record.reused_calls, reused)
        yield Check(f"{where}.predicted_calls", record.predicted_calls, predicted)
        yield Check(f"{where}.answered_calls", record.answered_calls, answered)


def _of_steps(report: Report) -> Iterator[Check]:
    chosen = (
        step.index
        for step in report.steps
        if any(call.chosen_by is not None for call in step.calls)
    )
    yield Check("switch_step", report.switch_step, next(chosen, None))
    if report.outcome == "finished":
        yield Check("num_inference_steps", report.num_inference_steps, len(report.steps))
    timing, handoff = report.accelerated, report.handoff
    seconds = [step.seconds for step in report.steps]
    drawn = _drawn(timing)
    if drawn is None:
        return
    between = (handoff.seconds or 0.0) if handoff is not None else 0.0
    if seconds and None not in seconds:
        whole = sum(value or 0.0 for value in seconds) + between
        yield Check("the sum of steps[].seconds", whole, drawn, CLOCK_TOLERANCE)
    if handoff is not None and handoff.share is not None and drawn:
        yield Check("handoff.share", handoff.share, between / drawn)


def _drawn(timing: Timing | None) -> float | None:
    """Seconds of the run whose steps a report has; None where no repeat is that."""
    index = (timing.shown or 0) if timing is not None else 0
    known = timing is not None and 0 <= index < len(timing.repeats)
    return timing.repeats[index] if timing is not None and known else None
