"""SRDiffusion as an accelerator: options, the render model, and the hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from sraccel.accelerators.srdiffusion.switching import Rule, SwitchDetector
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    LoopError,
    ModelError,
    Run,
    Stack,
    Step,
    check_same_vae,
    hookimpl,
    load_denoiser,
    load_vae_config,
)

if TYPE_CHECKING:
    from torch import nn

RENDER = "render"


class SRDiffusion(Accelerator):
    """Lets the pipeline's large model take the high-noise steps and a small one the rest."""

    name = "srdiffusion"

    class Options(AcceleratorOptions):
        """Options of SRDiffusion."""

        render: str | Any = Field(
            description="The render model: a folder, a name on the hub, `demo`, or (in Python) a "
            "module. It must share latent space and text encoder with the pipeline's model."
        )
        threshold: float = Field(
            0.01,
            gt=0,
            allow_inf_nan=False,
            description="Switch when the metric D falls by less than this from step to step. "
            "Lower is later: higher quality, less speed. The paper sweeps 0.01, 0.02, 0.03.",
        )
        min_step: int = Field(
            0, ge=0, description="Do not switch before this step has been taken (0-based)."
        )
        max_step: int | None = Field(
            None, ge=0, description="Switch at the latest after this step (0-based)."
        )
        switch_step: int | None = Field(
            None, ge=0, description="Fixed: the first step of the render model (0-based)."
        )
        rule: Rule = Field(
            "auto",
            description="`paper`: consecutive steps, to the letter. `per_step`: between computed "
            "steps, per step, smoothed. `auto`: the paper's until a cache skips a step, then "
            "per step.",
        )

        @model_validator(mode="after")
        def _one_way_to_switch(self) -> Self:
            adaptive = {"threshold", "min_step", "max_step", "rule"} & self.model_fields_set
            if self.switch_step is not None and adaptive:
                raise ValueError(
                    f"switch_step fixes the switch, so {', '.join(sorted(adaptive))} would have no "
                    f"effect: give one or the other"
                )
            if self.max_step is not None and self.max_step < self.min_step:
                raise ValueError(f"max_step {self.max_step} is before min_step {self.min_step}")
            return self

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self._detector = SwitchDetector(self.options)

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> Mapping[str, nn.Module]:
        render = self.options.render
        if isinstance(render, str):
            refuse_other_vae(stack, render)
            sketch = stack.denoisers["sketch"].module
            render = load_denoiser(render, dtype=getattr(sketch, "dtype", None))
        if render is stack.denoisers["sketch"].module:
            raise ModelError("srdiffusion: the render model is the pipeline's own model")
        return {RENDER: render}

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        if isinstance(self.options.render, str):
            refuse_lora(stack)

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._detector = SwitchDetector(self.options)
        if _beyond(self.options.switch_step, run) or _beyond(self.options.min_step, run):
            run.warn(
                f"srdiffusion: the earliest switch lies beyond the run's "
                f"{run.num_inference_steps} steps, so the render model is never used"
            )

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        fixed = self.options.switch_step
        switched = self._detector.switched if fixed is None else step.index >= fixed
        return RENDER if switched else None

    @hookimpl
    def denoiser_switched(self, step: Step, previous: str, current: str) -> None:
        self._detector.restart()

    @hookimpl
    def step_finished(self, step: Step) -> None:
        if step.denoiser == RENDER:
            return
        if step.noise_pred is None:
            if self.options.switch_step is None:
                raise LoopError(
                    "srdiffusion decides by the guided prediction: call "
                    "`step.finish(noise_pred, latents)` in your loop, or fix `switch_step`"
                )
            return
        step.noise_rel_l1 = self._detector.observe(step.index, step.noise_pred, step.computed)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        rule = "fixed" if self.options.switch_step is not None else self._detector.rule
        run.note(self, switch_rule=rule)


def _beyond(step: int | None, run: Run) -> bool:
    return step is not None and step >= run.num_inference_steps


def refuse_lora(stack: Stack) -> None:
    """Raise ModelError if LoRAs are loaded on the sketch model: the render model has none."""
    for denoiser in stack.denoisers.values():
        if getattr(denoiser.module, "peft_config", None):
            raise ModelError(
                "srdiffusion: LoRAs loaded on the pipeline's model do not reach the render model; "
                "load them on both and give the render model as a module, or unload them"
            )


def refuse_other_vae(stack: Stack, render: str) -> None:
    """Raise ModelError if the render model comes with another VAE than the pipeline's."""
    config, vae = load_vae_config(render), getattr(stack.pipeline, "vae", None)
    if config is not None and vae is not None:
        check_same_vae({"_class_name": type(vae).__name__, **vae.config}, config, RENDER)
