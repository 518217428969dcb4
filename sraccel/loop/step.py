"""One step of the sampling loop: its denoiser, its calls, its guided prediction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from sraccel.errors import LoopError, NonFiniteError, PluginError
from sraccel.loop.call import Call
from sraccel.loop.denoiser import denoiser_of

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.clock import Mark
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.run import Run

_log = logging.getLogger(__name__)


class Step:
    """One step; enter it, call the denoiser once per branch, finish it.

    Attributes:
        run: the run it belongs to.
        index: 0-based position in the run; one for each evaluation of the model.
        solver_step: 0-based step of the solver; `index`, unless it evaluates the model several
            times a step (Heun and other schedulers of second order).
        evaluation: which evaluation of its solver step this is; 0-based.
        timestep: the scheduler's timestep, if known.
        sigma: the scheduler's noise level, if known.
        calls: the calls so far.
        chosen_by: accelerator that chose this step's denoiser, or None.
        noise_pred: the guided noise prediction; set by `finish`.
        latents: the latents that the step *started* from; set by `finish`.
        measured: what accelerators measured, by `<accelerator>.<column>`; see `measure`.
    """

    def __init__(
        self,
        run: Run,
        index: int,
        timestep: float | None,
        sigma: float | None,
        evaluation: int = 0,
    ) -> None:
        self.run = run
        self.index = index
        self.evaluation = evaluation
        before = run.steps[-1].solver_step if run.steps else run.solver_steps_before - 1
        self.solver_step: int = before + 1 if evaluation == 0 else max(before, 0)
        self.timestep = timestep
        self.sigma = sigma
        self.calls: list[Call] = []
        self.chosen_by: str | None = None
        self.noise_pred: torch.Tensor | None = None
        self.latents: torch.Tensor | None = None
        self.measured: dict[str, torch.Tensor | float] = {}
        self.started: Mark = None
        self._chosen: Denoiser | None = None
        self._branch: str | None = None

    @property
    def denoiser(self) -> str | None:
        """Role of the denoiser of this step; None before its first call if nobody chose one."""
        if self.calls:
            return self.calls[0].denoiser.role
        return self._chosen.role if self._chosen is not None else None

    @property
    def computed(self) -> bool:
        """Whether every call so far was computed, for the most part, rather than skipped."""
        return all(call.computed for call in self.calls)

    def open(self) -> Self:
        """Begin the step: from now on it is the run's current one, and its denoiser is chosen."""
        self.run.enter_step(self)
        self.started = self.run.clock.mark()
        self._choose()
        _log.debug("%r begins, chosen by %s", self, self.chosen_by or "the loop")
        return self

    def _choose(self) -> None:
        """Take the denoiser that an accelerator selects; a further evaluation keeps the first's."""
        if self.evaluation and (previous := self.run.previous_step) is not None:
            self.chosen_by, self._chosen = previous.chosen_by, previous._chosen
            return
        chosen = self.run.hooks.select_denoiser(self)
        if self.run.agreement is not None:
            chosen = self.run.agreement.chosen(self, chosen)
        if chosen is not None:
            self.chosen_by, role = chosen
            self._chosen = denoiser_of(self.run.stack.denoisers, role, asked_by=self.chosen_by)

    def close(self, error: BaseException | None = None) -> None:
        """End the step; after an error `step_finished` is not asked."""
        try:
            if error is None:
                self.run.hooks.step_finished(self)
        finally:
            self.run.leave_step(self)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close(error)

    @contextmanager
    def branch(self, name: str) -> Iterator[None]:
        """Name the guidance branch of the calls inside; the same name again gets an ordinal."""
        if self._branch is not None:
            raise LoopError(f"branch {name!r} opened inside branch {self._branch!r}")
        self._branch = self.unique_branch(name)
        try:
            yield
        finally:
            self._branch = None

    def branch_of(self, context: str | None, condition: Any) -> str:
        """The branch of the call that comes.

        Args:
            context: name that the pipeline gave the call, if any.
            condition: the call's conditioning, by which branches without a name differ.
        """
        if self._branch is not None:
            return self._branch
        return self.unique_branch(context or self._name_by(condition))

    def _name_by(self, condition: Any) -> str:
        """`branch0`, `branch1`, ... by conditioning; without one, by position in the step."""
        if condition is None:
            return f"call{len(self.calls)}"
        known = self.run.conditions  # held, so that no other tensor takes over an identity
        found = [position for position, seen in enumerate(known) if seen is condition]
        # Some pipelines cast it anew in each step.
        found = found or [at for at, seen in enumerate(known) if _same(seen, condition)]
        if not found:
            known.append(condition)
            found = [len(known) - 1]
        return f"branch{found[0]}"

    def unique_branch(self, name: str) -> str:
        """`name`, or `name#2`, `name#3`, ... where calls of this step already have it."""
        taken = {call.branch for call in self.calls}
        candidate, ordinal = name, 1
        while candidate in taken:
            ordinal += 1
            candidate = f"{name}#{ordinal}"
        return candidate

    def measure(self, accelerator: Accelerator, **values: torch.Tensor | float | None) -> None:
        """Fill in columns that an accelerator declares, for the report's timeline.

        Args:
            accelerator: who measured.
            values: numbers or 0-dim tensors by name of the column; None: nothing to measure.

        Raises:
            PluginError: a column is not declared in `Accelerator.columns`.
        """
        for column, value in values.items():
            if column not in accelerator.columns:
                raise PluginError(
                    f"accelerator {accelerator.name!r} measures {column!r}, which is not among its "
                    f"columns ({', '.join(accelerator.columns) or 'it declares none'})",
                    accelerator=accelerator.name,
                    step=self.index,
                )
            if value is not None:
                self.measured[f"{accelerator.name}.{column}"] = value

    def finish(self, noise_pred: torch.Tensor, latents: torch.Tensor) -> None:
        """Take the guided noise prediction, and the latents that the step started from.

        Raises:
            NonFiniteError: the prediction holds NaN or infinity.
        """
        self.noise_pred = noise_pred
        self.latents = latents
        if not bool(noise_pred.isfinite().all()):
            raise NonFiniteError(
                f"step {self.index}: denoiser {self.denoiser!r} predicted NaN or infinity "
                f"(dtype {str(noise_pred.dtype).removeprefix('torch.')}); run without the recipe "
                f"to see whether the model does so by itself, then leave out one accelerator at a "
                f"time, the attention kernel first",
                step=self.index,
                role=self.denoiser,
                model=type(self.calls[0].denoiser.module).__name__ if self.calls else None,
            )

    def open_call(self, requested: Denoiser, branch: str, model_input: torch.Tensor) -> Call:
        """Begin a call of this step; decides which denoiser answers."""
        denoiser = self._chosen or requested
        call = Call(self, branch, requested.attribute, denoiser, model_input)
        call.chosen_by = self.chosen_by if denoiser.role != requested.attribute else None
        self.calls.append(call)
        if len(self.calls) == 1:
            if self.run.agreement is not None and len(self.run.steps) == 1:
                self.run.agreement.began(call)
            self.run.notice_switch(self)
        return call

    def open_evaluation(self, call: Call, denoiser: Denoiser, model_input: torch.Tensor) -> Call:
        """A further evaluation of a denoiser, in the course of answering a call."""
        same = sum(one.denoiser is denoiser for one in call.evaluations)
        branch = call.branch if same == 0 else f"{call.branch}+{same}"
        evaluation = Call(self, branch, call.requested, denoiser, model_input)
        call.evaluations.append(evaluation)
        return evaluation

    def __repr__(self) -> str:
        which = f"{self.index}, evaluation {self.evaluation}" if self.evaluation else self.index
        return f"Step({which}, timestep={self.timestep}, denoiser={self.denoiser!r})"


def _same(one: Any, other: Any) -> bool:
    """Whether two tensors hold the same values."""
    import torch

    tensors = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    return tensors and one.device == other.device and torch.equal(one, other)
