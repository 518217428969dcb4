"""Estimates in words: a value, its interval, and on which side of nothing it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.words import decimals, factor, finite, signed, with_remark

if TYPE_CHECKING:
    from sraccel.study.results import Estimate

TOO_FEW = "too few blocks for an interval"
FEWEST = 3
"""Blocks that give an interval."""


@dataclass(frozen=True)
class Written:
    """A number and its interval; `sort` is what a table sorts it by, empty without a number."""

    value: str
    interval: str = ""
    sort: str = ""

    def __str__(self) -> str:
        return with_remark(self.value, self.interval)


def number(estimate: Estimate | None, places: int) -> Written:
    """A number as it is."""
    return written(estimate, decimals(known(estimate), places), places)


def times(estimate: Estimate | None, places: int = 2) -> Written:
    """A factor."""
    return written(estimate, factor(known(estimate), places), places)


def difference(estimate: Estimate | None, places: int) -> Written:
    """A number with its sign."""
    return written(estimate, signed(known(estimate), places), places)


def written(estimate: Estimate | None, value: str, places: int) -> Written:
    """A value that was put into words already."""
    return Written(value, interval(estimate, places), sortable(known(estimate)))


def sortable(number: float | None) -> str:
    """A number as scripts read it."""
    return "" if finite(number) is None else repr(float(number or 0.0))


def interval(estimate: Estimate | None, places: int) -> str:
    """`3.81 to 4.12`; nothing where no interval could be made."""
    bounds = limits(estimate)
    return "" if bounds is None else " to ".join(decimals(bound, places) for bound in bounds)


def limits(estimate: Estimate | None) -> tuple[float, float] | None:
    """Both ends of an interval, or None where it lacks one."""
    if estimate is None:
        return None
    low, high = finite(estimate.low), finite(estimate.high)
    return None if low is None or high is None else (low, high)


def known(estimate: Estimate | None) -> float | None:
    """The value, if there is one that can be shown."""
    return None if estimate is None else finite(estimate.value)


def side(estimate: Estimate | None, centre: float) -> int | None:
    """-1 or 1 where the whole interval lies below or above; 0 where it holds the centre.

    None where there is no interval.
    """
    bounds = limits(estimate)
    if bounds is None:
        return None
    return (bounds[0] > centre) - (bounds[1] < centre)
