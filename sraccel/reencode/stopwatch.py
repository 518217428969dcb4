"""How long calls of one method take, on the device that does them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.loop.clock import Clock, Mark, clock_for
from sraccel.loop.intercept import Interception

if TYPE_CHECKING:
    import torch


class Stopwatch:
    """The calls so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[tuple[Mark, Mark]] = []

    def call(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        """Call `inner`, and time it."""
        start = self._clock.mark()
        try:
            return inner(*args, **kwargs)
        finally:
            self._calls.append((start, self._clock.mark()))

    def seconds(self) -> float:
        """Of all calls together; waits for the device."""
        self._clock.settle()
        return sum(self._clock.seconds(start, end) for start, end in self._calls)


@contextmanager
def timed(obj: object, attr: str, device: torch.device) -> Iterator[Stopwatch]:
    """Time the calls of `obj.attr` inside."""
    stopwatch = Stopwatch(clock_for(device))
    interception = Interception(obj, attr, stopwatch.call)
    try:
        yield stopwatch
    finally:
        interception.undo()
