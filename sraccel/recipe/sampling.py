"""The arguments of a pipeline's call that a recipe gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, model_serializer

from sraccel.loop.numbers_only import NoBooleans

USUAL_STEPS = 50
MOST = 100_000
"""Steps, pixels of a side, frames, tokens: more is a slip, or meant to harm."""


class Sampling(NoBooleans):
    """Arguments of the pipeline's call; what is left out keeps the pipeline's default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_inference_steps: int | None = Field(
        None, ge=1, le=MOST, description=f"Denoising steps. Default: {USUAL_STEPS}."
    )
    guidance_scale: float | None = Field(
        None, allow_inf_nan=False, description="Strength of guidance; 1 is without."
    )
    guidance_scale_2: float | None = Field(
        None, allow_inf_nan=False, description="Wan 2.2: that of the second expert."
    )
    height: int | None = Field(None, ge=1, le=MOST, description="In pixels.")
    width: int | None = Field(None, ge=1, le=MOST, description="In pixels.")
    num_frames: int | None = Field(None, ge=1, le=MOST, description="Number of frames.")
    negative_prompt: str | None = Field(None, description="What to avoid.")
    max_sequence_length: int | None = Field(
        None, ge=1, le=MOST, description="Length of the prompt in tokens, padding included."
    )

    @classmethod
    def of_call(cls, call: Mapping[str, Any]) -> Self:
        """What a call gives of these arguments."""
        return cls.model_validate({name: call[name] for name in cls.model_fields if name in call})

    def arguments(self) -> dict[str, Any]:
        """What is given, as the pipeline's call takes it."""
        return {name: value for name, value in self if value is not None}

    @model_serializer
    def _given(self) -> dict[str, Any]:
        return self.arguments()
