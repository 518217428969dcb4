"""Which run is open, who drives it, and which of its steps a denoiser call belongs to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.loop.ownership import Ownership

if TYPE_CHECKING:
    from sraccel.loop.continuation import Continuation
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.run import Run
    from sraccel.loop.schedule import Schedule
    from sraccel.loop.step import Step

_log = logging.getLogger(__name__)


class Tracker:
    """The one owner of a stack's open run.

    A run is driven by the pipeline, which announces it when it sets the scheduler's timesteps, or
    by a loop of the user's own (`stack.run`). There is one at a time, in one thread.

    Attributes:
        schedule: of the attached pipeline; None if the stack has none.
        continuation: the steps that were taken before the pipeline's next run; None: none.
        ownership: which thread that is.
    """

    def __init__(
        self, new_run: Callable[[int, int, Continuation | None], Run], pipeline: Any
    ) -> None:
        self.schedule: Schedule | None = None
        self.continuation: Continuation | None = None
        self.ownership = Ownership(pipeline)
        self._run: Run | None = None
        self._new_run = new_run
        self._announced: int | None = None  # thread that set the timesteps
        self._by_pipeline = False  # who drives the open run

    @property
    def run(self) -> Run | None:
        """The open run, or None."""
        # The outcome is asked, since Ctrl-C may have broken off `let_go`.
        return self._run if self._run is not None and self._run.outcome is None else None

    def step_of(
        self, denoiser: Denoiser, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Step | None:
        """The step that a denoiser call belongs to, opened if need be.

        None: the call is not part of the loop that is watched.

        Raises:
            LoopError: a loop of the user's own has no step open, another thread has a run open, or
                the pipeline's parts are not those that were composed.
        """
        run, schedule = self.run, self.schedule
        if schedule is None or (run is not None and not self._by_pipeline):
            return _users_step(run)
        schedule.check_target()
        if run is None and self._announced is None:
            return None
        moved_on = schedule.has_moved_on(denoiser, args, kwargs)
        if moved_on and run is not None and run.current_step is not None:
            run.current_step.close()
        if run is None and self.continuation is not None:
            schedule.begin_at(self.continuation.begin)
            index: int | None = self.continuation.next_step
        else:
            index = _index(run)
        position = schedule.position_of(denoiser, args, kwargs, index)
        if position is None:
            _log.debug("a call of %s passes: its timestep is not the scheduler's", denoiser.role)
            return None
        return self._pipelines_step_at(position, schedule)

    @property
    def driven_by_user(self) -> bool:
        """Whether a run is open that a loop of the user's own drives."""
        return self.run is not None and not self._by_pipeline

    @property
    def pipelines_step(self) -> Step | None:
        """The open step of the run that the pipeline drives, or None."""
        return self.run.current_step if self.run is not None and self._by_pipeline else None

    @property
    def announced(self) -> bool:
        """Whether the pipeline, in this thread, set its timesteps and has not ended since."""
        return self._announced == threading.get_ident()

    def _pipelines_step_at(self, position: int, schedule: Schedule) -> Step:
        """The open step of the pipeline's run, which lies here; else the next one, opened."""
        run = self.run or self._open_announced(schedule)
        if run.current_step is not None:
            return run.current_step
        timestep, sigma = schedule.timestep_at(position), schedule.sigma_at(position)
        evaluation = schedule.evaluation_at(position)
        return run.step(timestep=timestep, sigma=sigma, evaluation=evaluation).open()

    def _open_announced(self, schedule: Schedule) -> Run:
        if not self.announced:
            raise LoopError(
                "two threads run this pipeline under one stack: compose a copy for each thread"
            )
        run = self._new_run(
            schedule.remaining_steps, schedule.remaining_solver_steps, self.continuation
        )
        run.asked_steps, run.planned_by = schedule.asked_steps, schedule.planned_by
        if self.continuation is not None:
            run.solver_steps_before = schedule.solver_steps_before(self.continuation.next_step)
        self.open(run, by_pipeline=True)
        return run

    def open(self, run: Run, *, by_pipeline: bool = False) -> None:
        """Begin a run.

        Raises:
            LoopError: one is open already, in this thread or in another.
        """
        self.check_thread()
        if self.run is not None:
            raise LoopError(f"a run is open already ({self.run!r}): one at a time per stack")
        self.ownership.take(run)
        self._run, self._by_pipeline = run, by_pipeline
        _log.debug("%r begins, driven by %s", run, "the pipeline" if by_pipeline else "the user")
        run.start()

    def announce(self) -> None:
        """The pipeline has set its timesteps: its next denoiser call opens a run."""
        if not self.driven_by_user:
            self._announced = threading.get_ident()

    def withdraw(self) -> None:
        """Forget an announcement."""
        self._announced = None

    def begin_anew(self) -> None:
        """The pipeline is about to set its timesteps: end what it has left open.

        Raises:
            LoopError: another thread has the stack.
        """
        self.ownership.take(self.run if self.driven_by_user else None)
        self._end_pipelines_run(None)

    def end_pipelines_run(self, error: BaseException | None = None) -> None:
        """End what the pipeline has announced or begun; a run of the user's own goes on."""
        self._end_pipelines_run(error)
        if not self.driven_by_user:
            self.ownership.release()

    def _end_pipelines_run(self, error: BaseException | None) -> None:
        self.withdraw()
        if self.run is not None and not self.driven_by_user:
            self.run.close(error)

    def end(self, error: BaseException | None = None) -> None:
        """End whatever is open."""
        self.withdraw()
        if self.run is not None:
            self.run.close(error)
        self.ownership.release()

    def let_go(self, run: Run) -> None:
        """Forget a run that has ended."""
        _log.debug("%r has ended", run)
        if self._run is run:
            by_user, self._run = not self._by_pipeline, None
            if by_user:
                self.ownership.release()

    def check_thread(self) -> None:
        """Raise LoopError if another thread, still alive, has a run open."""
        run = self.run
        if run is None or run.thread == threading.get_ident():
            return
        if any(thread.ident == run.thread for thread in threading.enumerate()):
            raise LoopError(
                "two threads use one stack at a time: compose a copy of the pipeline for each"
            )


def _users_step(run: Run | None) -> Step:
    """The open step of a run that the user drives."""
    if run is None or run.current_step is None:
        raise LoopError(
            "the denoiser was called outside a step: open `stack.run(...)`, then `run.step(...)`"
        )
    return run.current_step


def _index(run: Run | None) -> int | None:
    """Of the open step, or of the next one; None if no run is open."""
    if run is None:
        return None
    return run.next_index if run.current_step is None else run.current_step.index
