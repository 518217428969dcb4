"""The accelerator: chooses a kernel, covers each denoiser, reports what the kernel served."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Finding,
    Forecast,
    ModelError,
    Obstacle,
    Sampling,
    hookimpl,
    no_cuda,
)

if TYPE_CHECKING:
    from sraccel.accelerators.sageattention.kernels import Choice
    from sraccel.accelerators.sageattention.tally import Tally
    from sraccel.plugin import Denoiser, Run, Stack


class SageAttention(Accelerator):
    """8-bit attention: INT8 Q and K, smoothed K, float16 P and V (arXiv 2410.02367)."""

    name = "sageattention"
    claims = frozenset({"attention"})

    class Options(AcceleratorOptions):
        """Which kernel computes the attention."""

        kernel: Literal["auto", "sage", "sage_hub", "triton", "emulated"] = Field(
            "auto",
            description=(
                "`sage`: sageattention >= 2.1.1 through diffusers; `sage_hub`: the same, "
                "downloaded from the kernels hub (needs the package kernels); `triton`: "
                "sageattention 1.0.6 from the package registry; `emulated`: the arithmetic of "
                "1.0.6 in plain torch, on any device, claims no speed; `auto`: the first usable "
                "of `sage` and `triton`, else the original attention stays, with a warning."
            ),
        )
        smooth_k: bool = Field(
            True,
            description=(
                "Subtract K's mean over the tokens before quantising it. Only `triton` and "
                "`emulated` can leave that out."
            ),
        )

        @model_validator(mode="after")
        def _smoothing_can_be_left_out(self) -> Self:
            if not self.smooth_k and self.kernel not in ("triton", "emulated"):
                raise ValueError(
                    f"smooth_k: false is for the kernels 'triton' and 'emulated'; "
                    f"{self.kernel!r} may smooth K whatever one asks"
                )
            return self

        def doubts(self, sampling: Sampling) -> Iterable[str]:
            if self.kernel == "emulated":
                yield "kernel 'emulated' shows the effect on quality; it makes nothing faster"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.claims_speed = self.options.kernel != "emulated"
        self._choice: Choice | None = None
        self._tallies: dict[str, Tally] = {}

    @classmethod
    def obstacles(cls) -> Iterable[Obstacle]:
        """No kernel but the emulated one; without torch, so a GPU's age is not asked for."""
        remedy = "`kernel: emulated` shows its effect on quality, without the speed"
        if lack := no_cuda():
            yield Obstacle(f"no kernel is usable: {lack.reason}", remedy)
        elif not any(map(find_spec, ("sageattention", "kernels"))):
            reason = "no kernel is usable: the package sageattention is not installed"
            yield Obstacle(reason, f"pip install 'sraccel[sage]'; or {remedy}")

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> AbstractContextManager[object] | None:
        """Cover the denoiser's attention processors.

        Raises:
            ModelError: the kernel that was named cannot be used here, or this denoiser computes
                its attention in a way that cannot be covered.
        """
        from sraccel.accelerators.sageattention.processor import attention_modules, covered
        from sraccel.accelerators.sageattention.tally import Tally

        kernel = self._chosen().kernel
        if kernel is None:
            return None
        if next(attention_modules(denoiser.module), None) is None:
            raise ModelError(
                f"sageattention: the denoiser {denoiser.role!r} "
                f"({type(denoiser.module).__name__}) has no attention processors in the manner of "
                "diffusers, so its attention cannot be replaced: leave sageattention out"
            )
        tally = self._tallies[denoiser.role] = Tally()
        return covered(denoiser.module, kernel, tally)

    @hookimpl
    def run_started(self, run: Run) -> None:
        """Count anew, and say so if nothing is accelerated."""
        for tally in self._tallies.values():
            tally.reset()
        choice = self._chosen()
        if choice.kernel is None:
            run.warn(f"sageattention does nothing here: no kernel is usable ({choice.lack})")
        else:
            choice.kernel.failed = False

    @hookimpl
    def run_finished(self, run: Run) -> None:
        """Report the kernel and what it served."""
        kernel = self._chosen().kernel
        run.note(
            self,
            kernel=kernel.name if kernel is not None else None,
            attention_calls={role: tally.facts() for role, tally in self._tallies.items()},
        )
        if kernel is not None and kernel.failed:
            run.note(self, exact_after_non_finite=True)
            run.warn(
                f"sageattention: the kernel {kernel.name!r} gave NaN or infinity where exact "
                f"attention does not, so that call and all after it, of every model, had exact "
                f"attention: leave sageattention out for this model, or try its other kernels"
            )
        computed = _computed(run)
        for role, tally in self._tallies.items():
            for warning in tally.warnings(role, computed=role in computed):
                run.warn(warning)

    def outlook(self, stack: Stack) -> Iterable[Finding]:
        """Which kernel there is, and which models it cannot serve."""
        from sraccel.accelerators.sageattention.processor import attention_modules

        choice = self._chosen()
        if choice.kernel is None:
            yield Finding("warning", f"does nothing here: no kernel is usable ({choice.lack})")
            return
        yield Finding("note", f"the kernel {choice.kernel.name!r} is usable here")
        for role, denoiser in stack.denoisers.items():
            size = denoiser.config.get("attention_head_dim")
            lack = choice.kernel.unsupported_head_dim(size) if isinstance(size, int) else None
            if next(attention_modules(denoiser.module), None) is None:
                yield Finding(
                    "error", f"the denoiser {role!r} has no attention that can be replaced"
                )
            elif lack is not None:
                yield Finding("warning", f"does nothing for the denoiser {role!r}: {lack}")

    def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast | None:
        """Nothing where no kernel is usable; else only a run shows a kernel's speed."""
        return Forecast() if self._chosen().kernel is None else None

    def _chosen(self) -> Choice:
        if self._choice is None:
            from sraccel.accelerators.sageattention.kernels import choose

            self._choice = choose(self.options.kernel, self.options.smooth_k)
            kernel = self._choice.kernel
            self.claims_speed = kernel is not None and kernel.claims_speed
        return self._choice


def _computed(run: Run) -> set[str]:
    """Roles of the denoisers whose blocks ran at least once."""
    calls = (call for step in run.steps for call in step.calls)
    return {call.denoiser.role for call in calls if call.reused_by is None}
