"""Placed steps: fewer of them, where they count.

In: the noise levels that the loop asked for. Out: those that it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.steps.accelerator import Steps
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["Steps"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """Placed steps."""
    return [Steps]
