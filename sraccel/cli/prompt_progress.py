"""What `sraccel generate --prompts` shows while it runs: how many prompts are left, how long."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sraccel.cli.failures import stderr
from sraccel.report.words import waiting

if TYPE_CHECKING:
    from rich.console import Console

    from sraccel.batch.pools import Pools
    from sraccel.batch.prompts_file import PromptJob

ENDS = 100
"""So many prompts, the last ones, say how long one takes."""
EVERY = 60.0
"""Seconds between two lines where no bar can be drawn: in a file, say."""


class Pace:
    """When prompts ended.

    Args:
        total: how many there are.
    """

    def __init__(self, total: int) -> None:
        self._ends: deque[float] = deque(maxlen=ENDS + 1)
        self.left = total

    def ended(self, now: float) -> None:
        """Another one ended, at so many seconds of a clock."""
        self._ends.append(now)
        self.left -= 1

    @property
    def seconds_left(self) -> float | None:
        """Until the last one's end, by what those took that followed the first, which also loads.

        None: there is none yet.
        """
        if len(self._ends) < 2:
            return None
        return self.left * (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)


class PromptProgress:
    """A bar over prompts, with the time that is left; what failed is said above it.

    Args:
        total: how many prompts there are.
        console: where it is shown; stderr unless given.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        more = (MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
        self._bar = Progress(*columns, *more, console=console or stderr(), refresh_per_second=4)
        self._task = self._bar.add_task("prompts", total=total, left="")
        self._total, self._pace = total, Pace(total)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def ended(self, job: PromptJob, reason: str) -> None:
        """A prompt is finished, or failed."""
        if reason:
            self._say(f"{job.id} failed: {reason}")
        self._pace.ended(time.monotonic())
        seconds = self._pace.seconds_left
        left = "" if seconds is None else f"{waiting(seconds)} left"
        self._bar.update(self._task, advance=1, left=left)
        if left and not self._bar.console.is_terminal:
            self._say_now_and_then(left)

    def sized(self, pools: Pools) -> None:
        """How many workers there are is known."""
        self._say(f"workers: {pools}")

    def _say_now_and_then(self, left: str) -> None:
        if time.monotonic() - self._said >= EVERY and self._pace.left:
            self._said = time.monotonic()
            self._say(f"{self._total - self._pace.left} of {self._total} prompts, {left}")

    def _say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)
