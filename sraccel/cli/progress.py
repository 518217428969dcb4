"""Progress bars on asides: one while a model loads, one for denoising steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sraccel.cli.failures import asides, note
from sraccel.models.step_callback import WARMING_UP, takes_callback
from sraccel.models.step_callback import Progress as StepProgress
from sraccel.report.words import waiting


@contextmanager
def loading(name: str, *, own_bars: bool = False) -> Iterator[None]:
    """A moving bar while a model loads.

    Args:
        name: what is loaded.
        own_bars: the loader shows bars of its own (a download): say what happens, and step aside.
    """
    if own_bars:
        asides().print(f"loading {name}", markup=False)
        yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=asides()) as progress:
        task = progress.add_task(f"loading {name}", total=None)
        with _others_bars_off():
            yield
        progress.update(task, total=1, completed=1)


@contextmanager
def denoising(*pipes: Any) -> Iterator[StepProgress]:
    """Give a callback `(description, done, total)` that draws a bar for each description.

    A pipeline's own bar is off inside, if the pipeline calls back at the end of a step.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    # Few refreshes: the bars share the CPU with what is being timed.
    with ExitStack() as undo:
        for pipe in pipes:
            undo.enter_context(_own_bar_off(pipe))
        bars = undo.enter_context(Progress(*columns, console=asides(), refresh_per_second=4))

        def update(description: str, done: int, total: int) -> None:
            if description not in tasks:
                tasks[description] = bars.add_task(description, total=total)
            bars.update(tasks[description], completed=done, total=total)

        yield update


class Outlook:
    """Passes progress on; after the warm-up it says how long the denoising takes at most.

    Args:
        progress: what is called in turn.
        steps: how many are to come.
    """

    def __init__(self, progress: StepProgress, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._last: float | None = None
        self._slowest = 0.0  # step of the warm-up, in seconds
        self._said = False

    def __call__(self, description: str, done: int, total: int) -> None:
        self._progress(description, done, total)
        now, before = time.monotonic(), self._last
        if description == WARMING_UP:
            self._last = now
            if done > 1 and before is not None:
                self._slowest = max(self._slowest, now - before)
        elif not self._said and self._slowest:
            self._said = True
            note(f"by the warm-up, denoising takes {waiting(self._slowest * self._steps)} at most")


@contextmanager
def _own_bar_off(pipe: Any) -> Iterator[None]:
    before = dict(getattr(pipe, "_progress_bar_config", {}))
    if takes_callback(pipe):
        pipe.set_progress_bar_config(**{**before, "disable": True})
    try:
        yield
    finally:
        pipe.set_progress_bar_config(**before)


@contextmanager
def _others_bars_off() -> Iterator[None]:
    """Keep the loading bars of diffusers and transformers from drawing over ours."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    loggings: list[Any] = [diffusers_logging, transformers_logging]
    shown = [logging for logging in loggings if logging.is_progress_bar_enabled()]
    for logging in shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging in shown:
            logging.enable_progress_bar()
