"""One call of a denoiser: what an accelerator may see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.clock import Mark
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.step import Step
    from sraccel.noise.change_of_variables import Exchange

State = TypeVar("State")


class Call:
    """One forward of one denoiser, for one guidance branch of one step.

    Attributes:
        step: the step it belongs to.
        branch: the guidance branch (`cond`, `uncond`, ...).
        denoiser: the model that answers.
        requested: what the loop called, by the pipeline's own word for it.
        chosen_by: the accelerator that chose another denoiser, or None.
        reused_by: the accelerator that predicted the residual, or None if the blocks ran.
        model_input: the noisy latents, as the loop passed them.
        block_input: the carried stream where the block stack begins; set once it is reached.
        block_arguments: all arguments of the first block.
        exchange: the change of variables between the two models, where there was one.
        taps: outputs of the modules that the family's adapter taps.
    """

    __slots__ = (
        "_shape",
        "block_arguments",
        "block_input",
        "branch",
        "chosen_by",
        "denoiser",
        "exchange",
        "marks",
        "model_input",
        "requested",
        "reused_by",
        "step",
        "taps",
    )

    def __init__(
        self, step: Step, branch: str, requested: str, denoiser: Denoiser, model_input: torch.Tensor
    ) -> None:
        self.step = step
        self.branch = branch
        self.requested = requested
        self.denoiser = denoiser
        self.model_input = model_input
        self._shape = tuple(model_input.shape)
        self.chosen_by: str | None = None
        self.reused_by: str | None = None
        self.block_input: torch.Tensor = model_input
        self.block_arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self.taps: dict[str, torch.Tensor] = {}
        self.exchange: Exchange | None = None
        self.marks: tuple[Mark, Mark] | None = None

    def modulated_input(self, name: str | None = None) -> torch.Tensor:
        """The family's modulated input of this name (see its adapter); computed when asked."""
        adapter = self.denoiser.adapter
        return adapter.modulated_input(self, name or adapter.modulated_inputs[0])

    def memory(self, accelerator: Accelerator, factory: Callable[[], State]) -> State:
        """State of an accelerator for this denoiser, branch and shape of the latents.

        It is fresh (made by `factory`) unless it was asked for in the previous step of this run.
        """
        # The shape, since guidance may come and go within one batch.
        key = (accelerator.name, self.denoiser.role, self.branch, self._shape)
        return self.step.run.memory.recall(key, self.step.index, factory)

    def release(self) -> None:
        """Let go of tensors once the call is over; what the report needs stays."""
        del self.model_input, self.block_input
        self.block_arguments = ((), {})
        self.taps = {}

    def __repr__(self) -> str:
        return f"Call(step {self.step.index}, {self.branch}, {self.denoiser.role})"
