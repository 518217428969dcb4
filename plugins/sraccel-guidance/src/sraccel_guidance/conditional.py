"""The conditional prediction of a step: what the other guidance branches can be made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sraccel.plugin import AcceleratorOptions, Call, Run

if TYPE_CHECKING:
    import torch

    from sraccel.plugin import Accelerator, Step


class GuidanceOptions(AcceleratorOptions):
    """Options that everything which leaves out calls of guidance has."""

    conditional: str = Field(
        "cond", description="Name of the conditional branch, which must come first in a step."
    )


class Conditional:
    """The conditional prediction of the open step.

    Attributes:
        seen: whether there was a call beside the conditional one in this run.
    """

    def __init__(self, branch: str) -> None:
        self._branch = branch
        self._step: Step | None = None
        self._prediction: torch.Tensor | None = None
        self.seen = False

    def see(self, call: Call, output: torch.Tensor) -> bool:
        """Keep the output of a call if it is the conditional one; whether it is."""
        if call.branch == self._branch:
            self._step, self._prediction = call.step, output.clone()
        return call.branch == self._branch

    def of(self, call: Call) -> torch.Tensor | None:
        """That of the call's step, for a call of another branch; else None."""
        if call.branch == self._branch or self._step is not call.step:
            return None
        self.seen = True
        return self._prediction

    def forget(self) -> None:
        """At the end of a run."""
        self._step = self._prediction = None

    def end(self, run: Run, accelerator: Accelerator) -> None:
        """Forget, and say so where there was no call that could be left out."""
        self.forget()
        if not self.seen:
            run.warn(
                f"{accelerator.name} could do nothing: no step had the call {self._branch!r} and "
                f"then another one. Without guidance, or with all branches in one batch, there is "
                f"no call to leave out; a branch of another name is given by `conditional`"
            )
        self.seen = False
