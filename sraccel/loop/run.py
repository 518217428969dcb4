"""One run of the sampling loop: its steps, the accelerators' state, and how it ended."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from sraccel.errors import LoopError
from sraccel.loop.clock import clock_for, peak_memory_bytes
from sraccel.loop.memory import Memory
from sraccel.loop.ranks import is_parallel
from sraccel.loop.step import Step

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.clock import Mark
    from sraccel.loop.continuation import Continuation
    from sraccel.loop.stack import Stack

FINISHED = "finished"
PARTIAL = "partial"


class Run:
    """One run; enter it, then take its steps in order.

    Attributes:
        stack: the stack that is attached.
        num_inference_steps: how many steps the loop intends to take, one for each evaluation of the
            model.
        num_solver_steps: how many steps of the solver these are.
        asked_steps: how many the loop asked for, where an accelerator planned others; else None.
        planned_by: that accelerator, or None.
        decisions: whether the branches of a step skip together.
        steps: the steps opened so far.
        current_step: the step that is open, or None.
        conditions: the conditioning of each guidance branch that has no name, as first seen.
        memory: state of the accelerators, by accelerator, denoiser, branch and shape.
        outcome: None while it runs; then `finished`, `partial`, or `failed: <exception>`.
        notes: what accelerators say of themselves, by name; becomes part of the report.
        warnings: what a user should know; becomes part of the report.
        stopped_by: accelerator that ended the run early, or None.
        continuation: the steps before this run, if another one took them.
        solver_steps_before: how many steps of the solver these were.
        agreement: with the other ranks that make this video; None: it is made here alone.
        cpu_seconds: what the process computed (all threads) since the first step began; set at
            the end.
    """

    def __init__(
        self,
        stack: Stack,
        num_inference_steps: int,
        num_solver_steps: int | None = None,
        continuation: Continuation | None = None,
    ) -> None:
        if num_inference_steps < 1:
            raise LoopError(f"num_inference_steps must be 1 or more, not {num_inference_steps}")
        self.stack = stack
        self.num_inference_steps = num_inference_steps
        self.num_solver_steps = num_solver_steps or num_inference_steps
        self.asked_steps: int | None = None
        self.planned_by: str | None = None
        self.decisions = stack.skipping.decisions()
        self.steps: list[Step] = []
        self.current_step: Step | None = None
        self.conditions: list[torch.Tensor] = []
        self.memory = Memory()
        self.outcome: str | None = None
        self.notes: dict[str, dict[str, Any]] = {}
        self.warnings: list[str] = []
        self.stopped_by: str | None = None
        self.continuation = continuation
        self.solver_steps_before = 0
        self.hooks = stack.hooks
        self.agreement = stack.agreement
        self.device = stack.device
        self.clock = clock_for(self.device)
        self.thread = threading.get_ident()
        self.peak_memory_bytes: int | None = None
        self.ended: Mark = None
        self.cpu_seconds: float | None = None
        self._cpu_started: float | None = None

    @property
    def complete(self) -> bool:
        """Whether all steps were taken."""
        return self.next_index >= self.num_inference_steps

    @property
    def next_index(self) -> int:
        """Index of the step that comes after those that were opened."""
        before = 0 if self.continuation is None else self.continuation.next_step
        return before + len(self.steps)

    @property
    def previous_step(self) -> Step | None:
        """The step before the open one, or the last one if none is open."""
        latest = -1 if self.current_step is None else -2
        return self.steps[latest] if len(self.steps) >= -latest else None

    @property
    def switch_step(self) -> int | None:
        """Index of the first step that another denoiser took than the loop asked for, or None."""
        for step in self.steps:
            if any(call.chosen_by is not None for call in step.calls):
                return step.index
        return None

    def step(
        self,
        index: int | None = None,
        *,
        timestep: float | None = None,
        sigma: float | None = None,
        evaluation: int = 0,
    ) -> Step:
        """The next step.

        Args:
            index: where given, it is checked against the number of steps so far.
            timestep, sigma: of the scheduler, if known.
            evaluation: 0, unless this is a further evaluation of the model within one step of the
                solver (the corrector of Heun's method: 1).

        Raises:
            LoopError: `index` is out of order. On entering it: so is the step, another one is
                open, or the run is over.
        """
        index = self.next_index if index is None else int(index)
        step = Step(self, index, _number(timestep), _number(sigma), evaluation)
        self._check_next(step)
        return step

    def stop_after(self, step: Step, accelerator: Accelerator) -> None:
        """Let the run be finished with this step; who asks must see to it that the loop stops."""
        self.num_inference_steps = step.index + 1
        self.num_solver_steps = step.solver_step + 1
        self.stopped_by = accelerator.name

    def hand_over(self) -> None:
        """End the run before its open step, which another run is to take, and be complete."""
        step = self.current_step
        assert step is not None
        self.leave_step(step)
        self.steps.remove(step)
        self.num_inference_steps = self.next_index
        self.stopped_by = step.chosen_by
        self.close()

    def warn(self, message: str) -> None:
        """Add a warning to the report, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def note(self, accelerator: Accelerator, **facts: Any) -> None:
        """Add facts about an accelerator to the report; values must fit JSON."""
        self.notes.setdefault(accelerator.name, {}).update(facts)

    def __enter__(self) -> Self:
        self._check_open()
        self.stack.tracker.open(self)
        return self

    def start(self) -> None:
        """Begin, once the tracker has taken the run in."""
        try:
            if self.device.type == "cuda":
                import torch

                torch.cuda.reset_peak_memory_stats(self.device)
            self._warn_of_unmarked()
            if self.agreement is not None:
                self._warn_of_whole_models()
            self.hooks.run_started(self)
            self._go_on()
        except BaseException as error:
            self.close(error)
            raise

    def _warn_of_unmarked(self) -> None:
        for name, method in self.hooks.unmarked:
            self.warn(
                f"{name}: the method {method} has the name of a hook and is not marked @hookimpl, "
                f"so it is never called"
            )

    def _warn_of_whole_models(self) -> None:
        """Say so where one model's sequence is shared by ranks, and another's is not."""
        denoisers = self.stack.denoisers.values()
        whole = [one.role for one in denoisers if not is_parallel(one.module)]
        if 0 < len(whole) < len(denoisers):
            self.warn(
                f"the denoiser {', '.join(map(repr, whole))} is not parallel: every rank computes "
                f"all of it; call enable_parallelism on it as on the others"
            )

    def _go_on(self) -> None:
        decided = {} if self.continuation is None else self.continuation.decided
        for accelerator in self.stack.accelerators:
            if accelerator.name in decided:
                accelerator.go_on(decided[accelerator.name])

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """End the run, whatever is open; a second call does nothing."""
        if self.outcome is not None:
            return
        self.outcome = self._outcome(error)
        try:
            self.ended = self.clock.mark()
            self.clock.settle()
            if self._cpu_started is not None:
                self.cpu_seconds = time.process_time() - self._cpu_started
            if self.current_step is not None:
                self.leave_step(self.current_step)
            self.peak_memory_bytes = peak_memory_bytes(self.device)
            self.hooks.run_finished(self)
            if self.agreement is not None and error is None:
                self.agreement.ended(self)
        except BaseException as failure:
            error = failure
            raise
        finally:
            if self.agreement is not None and error is not None:
                self.agreement.leave()
            self.stack.tracker.let_go(self)
            self.stack.keep_report(self)
            if self.agreement is not None:
                self.agreement.begin()

    def _outcome(self, error: BaseException | None) -> str:
        if error is not None and not isinstance(error, GeneratorExit):
            return f"failed: {type(error).__name__}: {error}".rstrip(": ")
        return FINISHED if self.complete else PARTIAL

    def _check_open(self) -> None:
        if self.outcome is not None:
            raise LoopError("the run is over: open a new one with stack.run(...)")

    def _check_next(self, step: Step) -> None:
        if step.index != self.next_index:
            raise LoopError(f"step {step.index} opened where step {self.next_index} comes next")

    # What follows is called by Step.

    def enter_step(self, step: Step) -> None:
        """Note that a step is open."""
        self._check_open()
        if self.current_step is not None:
            still = self.current_step.index
            raise LoopError(f"step {step.index} opened while step {still} is open")
        self._check_next(step)
        if not self.steps:
            self._cpu_started = time.process_time()
        self.current_step = step
        self.steps.append(step)
        self.memory.begin(step.solver_step, step.evaluation)

    def leave_step(self, step: Step) -> None:
        """Note that a step is over."""
        self.current_step = None
        step.noise_pred = step.latents = None
        self.memory.end(step.solver_step, step.evaluation)

    def notice_switch(self, step: Step) -> None:
        """Ask `denoiser_switched` if this step's denoiser is not the previous step's."""
        previous = self.previous_step
        if previous is not None:
            before = previous.denoiser
        else:
            before = None if self.continuation is None else self.continuation.denoiser
        current = step.denoiser
        if before is not None and current is not None and before != current:
            self.hooks.denoiser_switched(step, before, current)

    def __repr__(self) -> str:
        state = self.outcome or "running"
        return f"Run({state}, {len(self.steps)} of {self.num_inference_steps} steps)"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
