"""TeaCache as an accelerator: options, choice of coefficients, and the hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from sraccel.accelerators.teacache.coefficients import Coefficients, candidates, choose
from sraccel.accelerators.teacache.rule import COEFFICIENT_COUNT, BranchState, Variant
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    ConflictError,
    Denoiser,
    ModelError,
    Run,
    Stack,
    hookimpl,
)

if TYPE_CHECKING:
    import torch

FEW_STEPS = 8
"""Runs of this many steps or fewer have little to skip."""


class TeaCache(Accelerator):
    """Skips a step's blocks while the (rescaled) change of their input stays small."""

    name = "teacache"

    class Options(AcceleratorOptions):
        """Options of TeaCache."""

        threshold: float = Field(
            0.1,
            ge=0,
            allow_inf_nan=False,
            description="Skip while the accumulated, rescaled relative L1 change is below this; "
            "0 never skips. Its scale differs between models and variants.",
        )
        retention: bool = Field(
            False,
            description="Wan's retention variant: decides by the time projection, always computes "
            "the first 5 steps, may skip the last one.",
        )
        coefficients: Literal["auto"] | list[float] | dict[str, list[float]] = Field(
            "auto",
            description="Polynomial that rescales the change, highest power first: `auto` chooses "
            "by model, a list is for the one denoiser of the stack, a mapping goes by role "
            "(`sketch`, `render`).",
        )
        start: Literal["always", "after_switch"] = Field(
            "always", description="`after_switch` waits until another accelerator switches models."
        )

        @field_validator("coefficients")
        @classmethod
        def _five_each(
            cls, given: str | list[float] | dict[str, list[float]]
        ) -> str | list[float] | dict[str, list[float]]:
            lists = given.values() if isinstance(given, dict) else [given]
            for item in lists:
                if item != "auto" and len(item) != COEFFICIENT_COUNT:
                    raise ValueError(f"{COEFFICIENT_COUNT} numbers are needed, not {len(item)}")
            return given

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.variant = Variant.RETENTION if self.options.retention else Variant.PLAIN
        self._chosen: dict[str, Coefficients] = {}

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        if self.options.start == "after_switch" and not stack.hooks.who("select_denoiser"):
            raise ConflictError(
                "teacache has `start: after_switch`, but no accelerator of the recipe switches "
                "models: add srdiffusion, or take `start: always`"
            )
        for denoiser in stack.denoisers.values():
            if self.variant.modulated_input(denoiser.adapter) is None:
                raise ModelError(
                    f"teacache has no {self.variant.value} variant for {denoiser.family!r} models"
                )
            self._candidates(denoiser, len(stack.denoisers))

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._chosen = {}
        if run.num_inference_steps <= FEW_STEPS:
            run.warn(
                f"teacache: {run.num_inference_steps} steps leave little to skip; caches pay off "
                f"from about 20 steps on"
            )

    @hookimpl
    def reuse_residual(self, call: Call) -> torch.Tensor | None:
        if self.options.start == "after_switch" and call.step.run.switch_step is None:
            return None
        state = call.memory(self, BranchState)
        skip = state.decide(
            call.modulated_input(self.variant.modulated_input(call.denoiser.adapter)),
            self._coefficients(call),
            self.options.threshold,
            self.variant.forces(call.step.index, call.step.run.num_inference_steps),
        )
        return state.residual if skip else None

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        if self.options.threshold > 0:
            call.memory(self, BranchState).residual = residual

    def _coefficients(self, call: Call) -> Coefficients:
        role = call.denoiser.role
        if role not in self._chosen:
            run = call.step.run
            found = self._candidates(call.denoiser, len(run.stack.denoisers))
            self._chosen[role] = choose(found, call.model_input)
            run.note(self, variant=self.variant.value)
            run.note(self, **{f"coefficients_{role}": self._chosen[role].source})
        return self._chosen[role]

    def _candidates(self, denoiser: Denoiser, denoisers: int) -> list[Coefficients]:
        given = self.options.coefficients
        if given == "auto":
            return candidates(denoiser, self.variant)
        if isinstance(given, dict) and denoiser.role in given:
            return [Coefficients(tuple(given[denoiser.role]), "given by the recipe")]
        if isinstance(given, list) and denoisers == 1:
            return [Coefficients(tuple(given), "given by the recipe")]
        raise ModelError(
            f"teacache: the recipe gives no coefficients for the {denoiser.role} denoiser; models "
            f"must not share them: give a mapping, `coefficients: {{sketch: [...], render: [...]}}`"
        )
