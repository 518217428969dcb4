"""Other pipelines of families that have an adapter: image to image, inpainting, guidance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from diffusers import (
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    LTX2ConditionPipeline,
    LTX2HDRPipeline,
    LTX2InContextPipeline,
    LTXConditionPipeline,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3PAGPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPAGPipeline,
)
from tiny_models import assembled

from tiny.family import IMAGE, TinyFamily
from tiny.flux import FLUX
from tiny.kandinsky5 import KANDINSKY5_VARIANTS
from tiny.ltx import LTX
from tiny.ltx2 import LTX2, LTX2_ALL_GUIDANCE, LTX2_IMAGE_TO_VIDEO
from tiny.qwen_image import QWEN_IMAGE
from tiny.sd3 import SD3
from tiny.sdxl import SDXL
from tiny.unadapted.made import MASK, SMALL, flow_scheduler
from tiny.unadapted.videos import SANA_VIDEO_FROM_IMAGE


def variant(
    kind: Callable[..., Any],
    tiny: TinyFamily,
    size: Mapping[str, Any],
    parts: Mapping[str, Callable[[], Any]] | None = None,
    config: Mapping[str, Any] | None = None,
    **more: Any,
) -> TinyFamily:
    """Another pipeline of a family: its components, and perhaps further ones."""

    def pipeline(**changed: Any) -> Any:
        components = tiny.pipeline(**{**(config or {}), **changed}).components
        components |= {name: build() for name, build in (parts or {}).items()}
        taken = inspect.signature(kind).parameters
        return assembled(kind, **{name: components[name] for name in components if name in taken})

    masks = {key: value for key, value in tiny.size.items() if "mask" in key}
    name = getattr(kind, "__name__", str(kind))
    return replace(
        tiny,
        name=name,
        pipeline=pipeline,
        render=lambda **changed: tiny.render(**{**(config or {}), **changed}),
        size={**masks, **size},
        **more,
    )


VARIANTS = [
    *KANDINSKY5_VARIANTS,
    LTX2_ALL_GUIDANCE,
    LTX2_IMAGE_TO_VIDEO,
    variant(LTX2ConditionPipeline, LTX2, LTX2.size),
    variant(LTX2InContextPipeline, LTX2, LTX2.size),
    variant(
        LTX2HDRPipeline,
        LTX2,
        {key: value for key, value in LTX2.size.items() if "audio" not in key},
    ),
    SANA_VIDEO_FROM_IMAGE,
    variant(FluxImg2ImgPipeline, FLUX, {**SMALL, "image": IMAGE}, strength=0.5),
    variant(FluxInpaintPipeline, FLUX, {**SMALL, "image": IMAGE, "mask_image": MASK}, strength=0.5),
    variant(LTXConditionPipeline, LTX, LTX.size, parts={"scheduler": flow_scheduler}),
    variant(QwenImageImg2ImgPipeline, QWEN_IMAGE, {**SMALL, "image": IMAGE}, strength=0.5),
    variant(
        QwenImageInpaintPipeline,
        QWEN_IMAGE,
        {**SMALL, "image": IMAGE, "mask_image": MASK},
        strength=0.5,
    ),
    variant(StableDiffusion3Img2ImgPipeline, SD3, {"image": IMAGE}, strength=0.5),
    variant(StableDiffusion3PAGPipeline, SD3, SMALL),
    variant(StableDiffusionXLImg2ImgPipeline, SDXL, {"image": IMAGE}, strength=0.5),
    variant(
        StableDiffusionXLInpaintPipeline,
        SDXL,
        {**SMALL, "image": IMAGE, "mask_image": MASK},
        strength=0.5,
    ),
    variant(StableDiffusionXLPAGPipeline, SDXL, SMALL),
]
