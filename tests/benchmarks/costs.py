"""What a run costs, counted: its calls at the typical seconds of each kind, and its steps' rest.

Seconds by the clock hold what else the machine did. Counted cost holds none of it: the median
seconds of a kind of call over all batches, times how many calls of this kind a run made. Emulated
kernels count as what they emulate, since an emulation claims no speed.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from points import Setting
    from semantic import Calls

REST = "rest of a step"
"""Scheduler, guidance and what else lies between the calls."""

Units = dict[str, float]
"""Seconds a prompt, by kind of call."""


def unit_costs(points: Iterable[Setting]) -> Units:
    """Median seconds a prompt of each kind of call, and of a step's rest, of plain kernels."""
    found: dict[str, list[float]] = defaultdict(list)
    for point in points:
        if not point.emulated:
            for batch in range(len(point.outcome.calls)):
                for kind, seconds in _seconds_each(point, batch).items():
                    found[kind].append(seconds)
    return {kind: statistics.median(values) for kind, values in found.items()}


def _seconds_each(point: Setting, batch: int) -> Units:
    """Of one batch, a prompt."""
    calls, prompts = _calls(point, batch), point.outcome.prompts[batch]
    each = {kind: seconds / count / prompts for kind, (count, seconds) in calls.items()}
    rest = point.outcome.seconds[batch] - sum(seconds for _, seconds in calls.values())
    return {**each, REST: max(rest, 0.0) / _steps(point, batch) / prompts}


def _calls(point: Setting, batch: int) -> Calls:
    """Calls by model, whichever of the two is the pipeline's own."""
    calls = point.outcome.calls[batch]
    if point.role != "render":
        return calls
    names = {"transformer": "render", "render": "transformer"}
    words = {kind: kind.split() for kind in calls}
    return {f"{names[words[kind][0]]} {words[kind][1]}": calls[kind] for kind in calls}


def _steps(point: Setting, batch: int) -> float:
    """Two calls a step: guidance is on."""
    return sum(count for count, _ in point.outcome.calls[batch].values()) / 2


def counted_seconds(point: Setting, units: Units) -> list[float]:
    """Counted seconds a prompt of each batch."""
    return [
        sum(count * units[kind] for kind, (count, _) in _calls(point, batch).items())
        + _steps(point, batch) * units[REST]
        for batch in range(len(point.outcome.calls))
    ]
