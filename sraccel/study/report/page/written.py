"""Numbers of tables, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.page.words import finite
from sraccel.study.report.words import decimals, factor, interval, known, signed

if TYPE_CHECKING:
    from sraccel.study.report_model import Estimate


@dataclass(frozen=True)
class Written:
    """A number and its interval; `sort` is what a table sorts it by, empty without a number."""

    value: str
    interval: str = ""
    sort: str = ""


def plain(estimate: Estimate | None, places: int) -> Written:
    """A number as it is."""
    return written(estimate, decimals(known(estimate), places), interval(estimate, places))


def times(estimate: Estimate | None, places: int) -> Written:
    """A factor."""
    return written(estimate, factor(known(estimate), places), interval(estimate, places))


def difference(estimate: Estimate | None, places: int) -> Written:
    """A number with its sign."""
    return written(estimate, signed(known(estimate), places), interval(estimate, places))


def written(estimate: Estimate | None, value: str, bounds: str) -> Written:
    """What was put into words already."""
    return Written(value, bounds, sortable(known(estimate)))


def sortable(number: float | None) -> str:
    """A number as scripts read it."""
    return "" if finite(number) is None else repr(float(number or 0.0))
