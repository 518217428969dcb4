"""SRDiffusion's options, as a recipe gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sraccel.accelerators.srdiffusion.lora import LoraSource
from sraccel.accelerators.srdiffusion.switching import Rule
from sraccel.plugin import AcceleratorOptions, ModelSource, Sampling, Tunable

Residency = Literal["both", "swap", "prefetch"]
Handoff = Literal["latent", "reencode"]

ADAPTIVE = {"threshold", "min_step", "max_step", "rule", "metric_on"}


def _source(given: Any) -> Any:
    """A name or a mapping becomes a source; a module or a pipeline stays what it is."""
    if isinstance(given, (str, dict)):
        return ModelSource.model_validate(given)
    known = given is None or isinstance(given, ModelSource)
    if known or hasattr(given, "parameters") or hasattr(given, "scheduler"):
        return given
    raise ValueError(
        "a folder, a name on the hub, `demo`, a mapping with `model`, or (in Python) a module or a "
        "pipeline"
    )


class SRDiffusionOptions(AcceleratorOptions):
    """Options of SRDiffusion."""

    handoff: Handoff = Field(
        "latent",
        description="`latent`: same VAE, inside the loop. `reencode`: another VAE, through frames; "
        "takes two pipelines (`sraccel.handoff`, `sraccel generate`).",
    )
    render: Annotated[ModelSource | Any, BeforeValidator(_source)] = Field(
        None,
        validate_default=True,
        description="The render model: a folder (a pipeline's, or a single transformer's or "
        "unet's), a name on the hub, `demo`, or a mapping with `model` and `revision`, "
        "`subfolder`, `variant`, `dtype`, `quantization_config`; in Python also a module or a "
        "pipeline. It must share VAE and text encoder with the pipeline's model. Required, unless "
        "`sraccel.handoff` is given a render pipeline.",
    )
    render_lora: LoraSource | None = Field(
        None,
        description="LoRA for the render model (folder, file, name on the hub, or a mapping with "
        "`model`, `weight_name`, `scale`); those of the pipeline's model do not reach it. `none`: "
        "it is to do without.",
    )
    threshold: Annotated[float, Tunable(0.002, 0.05, log=True, way="adaptive")] = Field(
        0.01,
        gt=0,
        allow_inf_nan=False,
        description="Switch when the metric D (a ratio) falls by less than this from step to step. "
        "Lower is later: higher quality, less speed. The paper sweeps 0.01, 0.02, 0.03.",
    )
    min_step: int = Field(
        0, ge=0, description="Do not switch before this step has been taken (0-based)."
    )
    max_step: int | None = Field(
        None, ge=0, description="Switch at the latest after this step (0-based)."
    )
    switch_step: Annotated[int | None, Tunable(0.1, 0.7, unit="steps", way="fixed")] = Field(
        None, ge=0, description="Fixed: the first step of the render model (0-based)."
    )
    switch_sigma: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Fixed: the render model takes the steps whose noise level (the scheduler's "
        "sigma; flow matching: 0 to 1) is at most this.",
    )
    rule: Rule = Field(
        "auto",
        description="`paper`: D of consecutive steps. `per_step`: between computed "
        "steps, per step. `auto`: the paper's until a cache skips a step, then per step.",
    )
    metric_on: Literal["noise_pred", "x0"] = Field(
        "noise_pred",
        description="What D is the change of: the guided noise prediction (the paper's formula), "
        "or the clean latents that it implies (`x0`; the paper's text has the denoised sample). "
        "They switch at different steps: a threshold belongs to one of them.",
    )
    residency: Annotated[Residency, Tunable(choices=("both", "swap"), for_memory=True)] = Field(
        "both",
        description="`both` models on the device; `swap`: only the one at work, the other in main "
        "memory; `prefetch`: the render model is copied to the device beside the sketch model's "
        "last steps.",
    )

    @classmethod
    def example(cls) -> dict[str, object]:
        """The demo pair's own render model."""
        return {"render": "demo"}

    @field_validator("render")
    @classmethod
    def _render_is_given(cls, render: Any, info: ValidationInfo) -> Any:
        if render is None and info.data.get("handoff") == "latent":
            raise ValueError("required: the model that takes over at the switch")
        return render

    @model_validator(mode="after")
    def _quantised_weights_stay(self) -> Self:
        quantised = isinstance(self.render, ModelSource) and self.render.quantization_config
        if quantised and self.residency != "both":
            raise ValueError(
                f"residency {self.residency!r} moves weights, and quantised ones stay where they "
                f"were loaded: leave out `residency` or `quantization_config`"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_switch(self) -> Self:
        given = self.model_fields_set
        fixed = [
            name for name in ("switch_step", "switch_sigma") if getattr(self, name) is not None
        ]
        unused = sorted(given & ADAPTIVE) if fixed else []
        if len(fixed) > 1:
            raise ValueError(f"{' and '.join(fixed)} both fix the switch: give one of them")
        if unused:
            raise ValueError(
                f"{fixed[0]} fixes the switch, so {', '.join(unused)} would have no effect: give "
                f"one or the other"
            )
        if self.max_step is not None and self.max_step < self.min_step:
            raise ValueError(f"max_step {self.max_step} is before min_step {self.min_step}")
        return self

    def models(self) -> Sequence[ModelSource]:
        named = isinstance(self.render, ModelSource) and self.handoff == "latent"
        return [self.render] if named else []

    def doubts(self, sampling: Sampling) -> Iterable[str]:
        if self.switch_step == 0:
            yield "switch_step 0 gives every step to the render model: nothing is sketched"
        steps = sampling.num_inference_steps
        earliest = self.switch_step if self.switch_step is not None else self.min_step + 1
        if steps is not None and earliest >= steps:
            name = "min_step" if self.switch_step is None else "switch_step"
            yield (
                f"{name} {getattr(self, name)} lies beyond the {steps} steps of the recipe's "
                f"sampling, so the render model is never used"
            )

    def without_weights(self) -> Self | None:
        if self.handoff == "reencode":  # composing takes two pipelines
            return None
        if not self.models():
            return self
        return self.model_copy(
            update={"render": self.render.pipeline_outline(), "render_lora": None}
        )

    @property
    def adaptive(self) -> bool:
        """Whether the metric decides."""
        return self.switch_step is None and self.switch_sigma is None
