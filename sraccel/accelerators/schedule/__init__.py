"""The rule `schedule`: compute the steps of a list, given or calibrated, and skip the others.

In: a list, or a budget and a calibration. Out: decisions to skip.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.schedule.accelerator import Schedule
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["Schedule"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The rule."""
    return [Schedule]
