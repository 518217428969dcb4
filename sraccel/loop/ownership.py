"""Which thread has a stack: one at a time, from setting the timesteps to the end of its run."""

from __future__ import annotations

import gc
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError

if TYPE_CHECKING:
    from types import FrameType

    from sraccel.loop.run import Run


@dataclass(eq=False)
class _Owner:
    """A thread, and the run that it has opened."""

    thread: int
    run: Run | None = None


class Ownership:
    """Which thread's run it is.

    There is no lock on a run, which Ctrl-C could leave closed. To append to a list is atomic, and
    of threads that come at the same time the first one in the list is the owner.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._owners: list[_Owner] = []

    def take(self, run: Run | None = None) -> None:
        """Make this thread the owner.

        Args:
            run: that it opens; None: it is about to set the timesteps of one.

        Raises:
            LoopError: another thread has the stack.
        """
        own = _Owner(threading.get_ident(), run)
        self._owners.append(own)
        first = next(one for one in tuple(self._owners) if self._at_work(one))
        if first.thread != own.thread:
            self._owners.remove(own)
            raise LoopError(
                "two threads use one stack at a time: compose a copy of the pipeline for each"
            )
        self._owners[:] = [own]  # what others have appended meanwhile, they have lost

    def release(self) -> None:
        """Let any thread come next."""
        self._owners.clear()

    def _at_work(self, owner: _Owner) -> bool:
        if owner.thread == threading.get_ident():
            return True
        if not any(thread.ident == owner.thread for thread in threading.enumerate()):
            return False
        if owner.run is not None and owner.run.outcome is None:
            return True
        return runs(self._pipeline, _frames().get(owner.thread))

    def others_run(self) -> bool:
        """Whether another thread is in the middle of the pipeline's call."""
        own = threading.get_ident()
        frames = _frames().items()
        return any(runs(self._pipeline, frame) for thread, frame in frames if thread != own)


_PAUSED = threading.RLock()
"""Held while `_frames` has switched garbage collection off, so that it is switched on again."""


def _frames() -> dict[int, FrameType]:
    """What each thread is at.

    Garbage must not be collected meanwhile: before CPython 3.11.9 a `threading.local` among it
    waits for ever for a lock that the call holds (python/cpython#106883).
    """
    with _PAUSED:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()
        finally:
            if collects:
                gc.enable()


def runs(pipeline: Any, frame: FrameType | None) -> bool:
    """Whether a thread that has come to this frame is in the middle of the pipeline's call."""
    while frame is not None:
        if frame.f_code.co_name == "__call__" and frame.f_locals.get("self") is pipeline:
            return pipeline is not None
        frame = frame.f_back
    return False
