"""Tiny pipelines with a ControlNet, or with channels of control."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import (
    AnimateDiffControlNetPipeline,
    AutoencoderDC,
    CogVideoXFunControlPipeline,
    CogView4ControlPipeline,
    CogView4Transformer2DModel,
    ControlNetModel,
    DDIMScheduler,
    FluxControlPipeline,
    HunyuanDiT2DControlNetModel,
    HunyuanDiT2DModel,
    HunyuanDiTControlNetPipeline,
    SanaControlNetModel,
    SanaControlNetPipeline,
    SanaTransformer2DModel,
    SD3ControlNetModel,
    StableDiffusion3ControlNetPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
)
from tiny_models import frozen
from torch import nn

from tiny.cogvideox import COGVIDEOX_DDIM
from tiny.family import IMAGE
from tiny.flux import FLUX
from tiny.sd3 import SD3
from tiny.sdxl import SDXL
from tiny.unadapted.images import (
    COGVIEW_CONFIG,
    HUNYUAN_DIT_CALL,
    HUNYUAN_DIT_CONFIG,
    HUNYUAN_DIT_TEXT,
    SANA_CALL,
    SANA_CONFIG,
    plain_vae,
    shifted,
)
from tiny.unadapted.made import SMALL, family, lively
from tiny.unadapted.unets import (
    ANIMATE_DIFF,
    CONDITIONED,
    animate_diff,
    motion_adapter,
    stable_diffusion,
)
from tiny.unadapted.variants import variant

UNET_CONTROLNET: dict[str, Any] = {
    **{
        key: value
        for key, value in CONDITIONED.items()
        if key not in ("sample_size", "out_channels", "up_block_types")
    },
    "conditioning_embedding_out_channels": (2, 4),
}


def unet_controlnet(**config: Any) -> nn.Module:
    """A ControlNet of a UNet; a new one would add nothing."""
    return lively(ControlNetModel, 5, **{**UNET_CONTROLNET, **config})


STABLE_DIFFUSION_CONTROLNET = stable_diffusion(
    StableDiffusionControlNetPipeline,
    size={**SMALL, "image": IMAGE},
    scheduler=DDIMScheduler,
    parts={"vae": plain_vae, "controlnet": unet_controlnet},
)
ANIMATE_DIFF_CONTROLNET = animate_diff(
    AnimateDiffControlNetPipeline,
    size={**ANIMATE_DIFF.size, "conditioning_frames": [IMAGE] * 4},
    parts={"vae": plain_vae, "motion_adapter": motion_adapter, "controlnet": unet_controlnet},
)
SDXL_CONTROLNET = variant(
    StableDiffusionXLControlNetPipeline,
    SDXL,
    {**SMALL, "image": IMAGE},
    parts={
        "controlnet": partial(
            unet_controlnet,
            norm_num_groups=4,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=6 * 8 + 12,
        )
    },
)


def sd3_controlnet() -> nn.Module:
    """A ControlNet of Stable Diffusion 3 with one block."""
    return lively(
        SD3ControlNetModel,
        5,
        sample_size=8,
        in_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=32,
        pooled_projection_dim=12,
        out_channels=4,
        pos_embed_max_size=16,
    )


SD3_CONTROLNET = variant(
    StableDiffusion3ControlNetPipeline,
    SD3,
    {**SMALL, "control_image": IMAGE},
    parts={"controlnet": sd3_controlnet},
)
sana_vae = partial(
    frozen,
    AutoencoderDC,
    0,
    latent_channels=4,
    attention_head_dim=4,
    encoder_block_types="ResBlock",
    decoder_block_types="ResBlock",
    encoder_block_out_channels=(8, 8),
    decoder_block_out_channels=(8, 8),
    encoder_layers_per_block=(1, 1),
    decoder_layers_per_block=(1, 1),
    encoder_qkv_multiscales=((), ()),
    decoder_qkv_multiscales=((), ()),
)
sana_controlnet = partial(lively, SanaControlNetModel, 5, **{**SANA_CONFIG, "num_layers": 1})
SANA_CONTROLNET = family(
    SanaControlNetPipeline,
    SanaTransformer2DModel,
    SANA_CONFIG,
    size={**SANA_CALL, "height": 32, "width": 32, "control_image": IMAGE},
    parts={"vae": sana_vae, "controlnet": sana_controlnet},
)
HUNYUAN_DIT_CONTROLNET = family(
    HunyuanDiTControlNetPipeline,
    HunyuanDiT2DModel,
    HUNYUAN_DIT_CONFIG,
    smaller={},
    scheduler=DDIMScheduler,
    size={**HUNYUAN_DIT_CALL, **SMALL, "control_image": IMAGE},
    text=HUNYUAN_DIT_TEXT,
    settings={"requires_safety_checker": False},
    parts={
        "vae": plain_vae,
        "controlnet": partial(
            lively,
            HunyuanDiT2DControlNetModel,
            5,
            **{key: value for key, value in HUNYUAN_DIT_CONFIG.items() if key != "num_layers"},
            transformer_num_layers=4,
        ),
    },
)
COGVIEW4_CONTROL = family(
    CogView4ControlPipeline,
    CogView4Transformer2DModel,
    {**COGVIEW_CONFIG, "in_channels": 8, "rope_axes_dim": (16, 16)},
    scheduler=shifted,
    size={**SMALL, "control_image": IMAGE},
    parts={"vae": plain_vae},
)
FLUX_CONTROL = variant(
    FluxControlPipeline,
    FLUX,
    {**SMALL, "control_image": IMAGE},
    config={"in_channels": 32, "out_channels": 16},
    negatives=False,
)
COGVIDEOX_CONTROL = variant(
    CogVideoXFunControlPipeline,
    COGVIDEOX_DDIM,
    {**SMALL, "control_video": [IMAGE] * 5},
    config={"in_channels": 8},
)

CONTROLLED = [
    STABLE_DIFFUSION_CONTROLNET,
    ANIMATE_DIFF_CONTROLNET,
    SDXL_CONTROLNET,
    SD3_CONTROLNET,
    SANA_CONTROLNET,
    HUNYUAN_DIT_CONTROLNET,
    COGVIEW4_CONTROL,
    FLUX_CONTROL,
    COGVIDEOX_CONTROL,
]
