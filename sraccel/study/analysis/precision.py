"""How precise a study is so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sraccel.study.results import CellResult, Effects, Estimate


def precision_of(speed: Effects, cells: Sequence[CellResult]) -> float | None:
    """Half of the widest main effect's interval, relative to the effect; or the widest speedup's.

    An effect that cannot be told (its accelerator never finished) does not count: more runs will
    not make it more precise. None where nothing can be told, or something without an interval.
    """
    main = [effect for effect in speed.effects if len(effect.accelerators) == 1]
    if main:
        found = [effect.average or effect.alone for effect in main]
    else:
        found = [cell.speedup for cell in cells if cell.kind != "bare"]
    halves = [_half_width(estimate) for estimate in found if estimate is not None]
    known = [half for half in halves if half is not None]
    return max(known) if known and len(known) == len(halves) else None


def _half_width(estimate: Estimate) -> float | None:
    if estimate.low is None or estimate.high is None:
        return None
    return math.expm1(math.log(estimate.high / estimate.low) / 2)
