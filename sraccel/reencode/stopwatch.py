"""How long calls of one method take, on the device that does them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.loop.clock import Mark, clock_for
from sraccel.loop.intercept import Interception

if TYPE_CHECKING:
    import torch


@contextmanager
def timed(obj: object, attr: str, device: torch.device) -> Iterator[Callable[[], float]]:
    """Time the calls of `obj.attr` inside; yields a function that adds them up, once done."""
    clock = clock_for(device)
    calls: list[tuple[Mark, Mark]] = []

    def call(inner: Any, *args: Any, **kwargs: Any) -> Any:
        start = clock.mark()
        try:
            return inner(*args, **kwargs)
        finally:
            calls.append((start, clock.mark()))

    def seconds() -> float:
        clock.settle()
        return sum(clock.seconds(start, end) for start, end in calls)

    interception = Interception(obj, attr, call)
    try:
        yield seconds
    finally:
        interception.undo()
