"""One call of a denoiser: what an accelerator may see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sraccel.errors import LoopError, PluginError
from sraccel.loop.history import History

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.clock import Mark
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.step import Step
    from sraccel.noise.change_of_variables import Exchange

State = TypeVar("State")
Level = Literal["call", "blocks"]
"""What is skipped: the whole call of a denoiser, or blocks within it."""
MOSTLY = 0.5
"""The share of a call's work from which on it counts as skipped."""


class Call:
    """One forward of one denoiser, for one guidance branch of one step.

    Attributes:
        step: the step it belongs to.
        branch: the guidance branch (`cond`, `uncond`, ...).
        denoiser: the model that answers.
        requested: what the loop called, by the pipeline's own word for it.
        chosen_by: the accelerator that chose another denoiser, or None.
        reused_by: the accelerator whose rule skipped the call or its blocks, or None.
        level: `call` or `blocks`: what a rule or predictor is asked about, and what was skipped.
        predicted_by: the predictor of what was skipped; None: the last computed value was reused.
        answered_by: the accelerator that answered the call otherwise, or None.
        evaluations: the calls by which that accelerator evaluated denoisers.
        skips: shares of the work that accelerators skipped by other means, by name.
        model_input: the noisy latents, as the loop passed them; a list of them as one tensor.
        block_input: the carried stream where the block stack begins; set once it is reached.
        span_input: the carried stream where the rule's `block_span` begins, behind its probe.
        block_arguments: all arguments of the first block.
        exchange: the change of variables between the two models, where there was one.
        taps: outputs of the modules that the family's adapter taps.
    """

    chosen_by: str | None = None
    reused_by: str | None = None
    level: Level | None = None
    predicted_by: str | None = None
    answered_by: str | None = None
    evaluator: Callable[[str | None, dict[str, Any]], torch.Tensor] | None = None
    block_arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    exchange: Exchange | None = None
    marks: tuple[Mark, Mark] | None = None

    def __init__(
        self, step: Step, branch: str, requested: str, denoiser: Denoiser, model_input: torch.Tensor
    ) -> None:
        self.step = step
        self.branch = branch
        self.requested = requested
        self.denoiser = denoiser
        self.model_input = self.block_input = self.span_input = model_input
        self._shape = model_input.shape  # memory can be read after the tensors are gone
        self.evaluations: list[Call] = []
        self.skips: dict[str, float] = {}
        self.taps: dict[str, torch.Tensor] = {}
        self._histories: dict[Level, History] = {}

    def modulated_input(self, name: str | None = None) -> torch.Tensor:
        """The family's modulated input of this name (see its adapter); computed when asked."""
        adapter = self.denoiser.adapter
        return adapter.modulated_input(self, name or adapter.modulated_inputs[0])

    @property
    def probe_residual(self) -> torch.Tensor:
        """What the probe (the blocks before the rule's `block_span`) added to the stream."""
        return self.span_input - self.block_input

    @property
    def computed(self) -> bool:
        """Whether a denoiser's work was done, for the most part, rather than skipped."""
        if self.answered_by is not None:
            return bool(self.evaluations) and all(one.computed for one in self.evaluations)
        return self.reused_by is None and sum(self.skips.values()) < MOSTLY

    @property
    def history(self) -> History:
        """Computed values of this denoiser, branch and shape, at the level that is asked about."""
        found = None if self.level is None else self._histories.get(self.level)
        return History(0, "model") if found is None else found

    def prediction(self) -> torch.Tensor | None:
        """What would stand in for what a rule is asked about, if it were skipped; None: nothing.

        For rules that compare it with what is computed then.
        """
        return self.step.run.stack.skipping.prediction(self)

    def memory(self, accelerator: Accelerator, factory: Callable[[], State]) -> State:
        """State of an accelerator for this denoiser, branch and shape of the latents.

        It is fresh (made by `factory`) unless it was asked for in the previous step of this run.
        Where a solver evaluates the model several times a step, each evaluation has its own.
        """
        return self._recall(accelerator.name, "state", factory)

    def _recall(self, owner: str, what: str, factory: Callable[[], State]) -> State:
        key = owner, what, self.denoiser.role, self.branch, self._shape
        return self.step.run.memory.recall(key, factory)

    def evaluate(self, role: str | None = None, **arguments: Any) -> torch.Tensor:
        """Ask a denoiser for its prediction, from within `answer_call`; recorded as a call.

        Args:
            role: of the denoiser; None: the one that takes this step.
            arguments: what to change of the arguments that the loop passed, by the names that the
                requested model's `forward` has for them.

        Returns:
            The prediction in the requested model's terms, on the device and in the dtype of the
            loop.

        Raises:
            LoopError: not asked from within `answer_call`.
            PluginError: this stack has no such denoiser.
        """
        if self.evaluator is None:
            raise LoopError("call.evaluate(...) is for the hook answer_call, while it is asked")
        return self.evaluator(role, arguments)

    def skipped(self, accelerator: Accelerator, share: float) -> None:
        """Say that an accelerator skipped a part of this call's work by means of its own.

        For foreign caches, sparse attention and the like. The report, the costs and SRDiffusion's
        switch go by it.

        Args:
            accelerator: who.
            share: of the call's work, from 0 to 1; said again, the last one counts.

        Raises:
            PluginError: it is no share.
        """
        if not 0 <= share <= 1:
            raise PluginError(
                f"accelerator {accelerator.name!r} says that it skipped a share of {share} of a "
                f"call: a share lies between 0 and 1",
                accelerator=accelerator.name,
                step=self.step.index,
            )
        self.skips[accelerator.name] = float(share)

    # What follows is called by the seams, and by what skips.

    def open_history(self, level: Level) -> History:
        """The history of a level; from now on this is the level that is asked about."""
        skipping = self.step.run.stack.skipping
        history = self._recall(skipping.keeper, level, skipping.new_history)
        history.enter()
        self._histories[level], self.level = history, level
        return history

    def kept_history(self, level: Level) -> History | None:
        """The history that a computed value goes to; None: nothing is kept."""
        return self._histories.get(level)

    def close_history(self, level: Level) -> None:
        """Keep nothing of this call."""
        del self._histories[level]

    def release(self) -> None:
        """Let go of tensors once the call is over; what the report needs stays."""
        del self.model_input, self.block_input, self.span_input
        self.block_arguments = ((), {})
        self.taps = {}
        self.evaluator = None
        self._histories = {}
        for evaluation in self.evaluations:
            evaluation.release()

    def __repr__(self) -> str:
        return f"Call(step {self.step.index}, {self.branch}, {self.denoiser.role})"
