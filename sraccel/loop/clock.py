"""Timing without waiting: marks while a run goes on, seconds once it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

Mark = Any
"""A moment, as the clock that made it knows it."""


class Clock(Protocol):
    """Makes marks; `seconds` is asked only after `settle`."""

    def mark(self) -> Mark:
        """This moment on the device's time line."""

    def settle(self) -> None:
        """Wait until every mark made so far has passed."""

    def seconds(self, start: Mark, end: Mark) -> float:
        """Seconds from one mark to another."""


class CpuClock:
    """Wall-clock time of the calling thread's process."""

    def mark(self) -> Mark:
        return time.perf_counter()

    def settle(self) -> None:
        return None

    def seconds(self, start: Mark, end: Mark) -> float:
        return float(end - start)


class CudaClock:
    """CUDA events on the current stream: no synchronisation before `settle`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def mark(self) -> Mark:
        import torch

        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def settle(self) -> None:
        import torch

        torch.cuda.synchronize(self._device)

    def seconds(self, start: Mark, end: Mark) -> float:
        return float(start.elapsed_time(end)) / 1000.0


def clock_for(device: torch.device) -> Clock:
    """The clock of a device."""
    return CudaClock(device) if device.type == "cuda" else CpuClock()


def peak_memory_bytes(device: torch.device) -> int | None:
    """CUDA: peak allocated since the run began. CPU: peak resident memory of the process so far."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def median(values: Iterable[float]) -> float:
    """The median; NaN of nothing."""
    import statistics

    values = list(values)
    return statistics.median(values) if values else float("nan")
