"""HybridStitch (Sun et al., arXiv 2603.07815) behind SRDiffusion's switch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Claim,
    ConflictError,
    Denoiser,
    Run,
    Stack,
    Step,
    hookimpl,
)
from sraccel_stitch.region import Hook, Narrowed, mask_of, tokens_of_change

if TYPE_CHECKING:
    import torch


class HybridStitch(Accelerator):
    """After the switch the large model goes on for some steps, where both models differ most."""

    name = "hybrid-stitch"
    claims = frozenset({Claim("tokens")})
    families = frozenset({"wan"})

    class Options(AcceleratorOptions):
        """Options of HybridStitch."""

        steps: int = Field(8, ge=0, description="How many steps behind the switch both take.")
        region: float = Field(
            0.3, gt=0, le=1, description="The share of the video's tokens that is the large one's."
        )

    options: Options

    def __init__(self, options: AcceleratorOptions | None = None) -> None:
        super().__init__(options)
        self._narrowed = Narrowed()

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        for other in stack.accelerators:
            if other.makes_claim("compilation"):
                raise ConflictError(
                    f"{self.name} and {other.name!r}: blocks that take a changing part of the "
                    f"tokens would be compiled again and again; leave one of them out",
                    accelerators=[self.name, other.name],
                )
        if len(stack.denoisers) < 2:
            raise ConflictError(
                f"{self.name} lets two models share a step, and this stack has one: list an "
                f"accelerator that brings the small one and switches to it (srdiffusion)",
                accelerators=[self.name],
            )
        self._large = stack.own

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        if denoiser is not self._large:
            yield
            return
        # Said before the model runs, so that a cache on it does not take one part for another.
        says = denoiser.module.register_forward_pre_hook(Hook(lambda *_: self._say(denoiser)))
        try:
            with self._narrowed.within(denoiser):
                yield
        finally:
            says.remove()

    def _say(self, denoiser: Denoiser) -> None:
        call = denoiser.current_call
        if call is not None and self._narrowed.tokens is not None:
            call.skipped(self, share=1 - self.options.region)

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._first: int | None = None
        self._tokens: torch.Tensor | None = None

    @hookimpl
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        if previous == self._large.role and self._first is None:
            self._first = step.solver_step

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor | None:
        shared = self._first is not None and call.denoiser is not self._large
        if not shared or call.step.solver_step - (self._first or 0) >= self.options.steps:
            return None
        small = call.evaluate(call.denoiser.role)
        large = self._evaluate_large(call)
        patch = tuple(self._large.module.config.patch_size)
        if self._tokens is None:
            self._tokens = tokens_of_change(large, small, patch, self.options.region)
            call.step.run.note(self, first_step=self._first, tokens=len(self._tokens))
        return large.where(mask_of(self._tokens, small, patch), small)

    def _evaluate_large(self, call: Call) -> torch.Tensor:
        """The large model's prediction: of all tokens the first time, then of its region."""
        if self._tokens is None:
            return call.evaluate(self._large.role)
        self._narrowed.tokens = self._tokens
        try:
            return call.evaluate(self._large.role)
        finally:
            self._narrowed.tokens = None

    @hookimpl
    def run_finished(self, run: Run) -> None:
        self._tokens = None

    def decided(self) -> dict[str, Any]:
        """At which step the switch was."""
        return {"first": self._first}

    def go_on(self, decided: Any) -> None:
        """Go on behind the switch."""
        self._first = decided["first"]
