"""The rule `feedback`: the error of the last prediction sets when to compute next.

In: computed values, and what would have stood in for them. Out: decisions to skip.
"""

from __future__ import annotations

from collections.abc import Iterable

from sraccel.accelerators.feedback.accelerator import Feedback
from sraccel.plugin import Accelerator, hookimpl

__all__ = ["Feedback"]


@hookimpl
def sraccel_accelerators() -> Iterable[type[Accelerator]]:
    """The rule."""
    return [Feedback]
