"""Tiny transformers of images."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderKLFlux2,
    BriaPipeline,
    BriaTransformer2DModel,
    ChromaImg2ImgPipeline,
    ChromaPipeline,
    ChromaTransformer2DModel,
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    DDIMScheduler,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    DPMSolverMultistepScheduler,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    GlmImagePipeline,
    GlmImageTransformer2DModel,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    HunyuanImagePipeline,
    HunyuanImageTransformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    LuminaNextDiT2DModel,
    LuminaPipeline,
    NucleusMoEImagePipeline,
    NucleusMoEImageTransformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    PRXPipeline,
    PRXTransformer2DModel,
    SanaPAGPipeline,
    SanaPipeline,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    ZImageImg2ImgPipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from diffusers.guiders import ClassifierFreeGuidance
from tiny_models import TEXT_DIM, frozen

from tiny.family import IMAGE, PROMPT, TinyFamily
from tiny.sd3 import image_vae
from tiny.unadapted.made import HEADS, LATENTS, PACKED, ROPE, SMALL, SQUARE, family, masks

MASKED = {**SQUARE, **masks("prompt_attention_mask")}
shifted = partial(FlowMatchEulerDiscreteScheduler, use_dynamic_shifting=True)
plain_vae = partial(image_vae, scaling_factor=0.5, shift_factor=0.1)


def flux2_vae() -> AutoencoderKLFlux2:
    """A random VAE with 2x compression."""
    return frozen(
        AutoencoderKLFlux2,
        0,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4),
        latent_channels=4,
        norm_num_groups=2,
    )


AURA_FLOW = family(
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    {
        **HEADS,
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "num_mmdit_layers": 2,
        "num_single_dit_layers": 2,
        "joint_attention_dim": TEXT_DIM,
        "caption_projection_dim": 32,
        "pos_embed_max_size": 64,
    },
    size=MASKED,
)
BRIA = family(
    BriaPipeline,
    BriaTransformer2DModel,
    {
        **PACKED,
        "axes_dims_rope": list(ROPE),
    },
    scheduler=EulerDiscreteScheduler,
    size={"height": 32, "width": 32},
    parts={"vae": plain_vae},
)
CHROMA_CONFIG: dict[str, Any] = {
    **PACKED,
    "axes_dims_rope": ROPE,
    "approximator_hidden_dim": 16,
    "approximator_num_channels": 16,
    "approximator_layers": 1,
}
CHROMA = family(
    ChromaPipeline,
    ChromaTransformer2DModel,
    CHROMA_CONFIG,
    size=MASKED,
)
CHROMA_IMAGE_TO_IMAGE = family(
    ChromaImg2ImgPipeline,
    ChromaTransformer2DModel,
    CHROMA_CONFIG,
    size={**SMALL, "image": IMAGE, **masks("prompt_attention_mask")},
    strength=0.5,
    parts={"vae": plain_vae},
)
COGVIEW_CONFIG: dict[str, Any] = {
    **LATENTS,
    "text_embed_dim": TEXT_DIM,
    "time_embed_dim": 8,
    "condition_dim": 4,
    "pos_embed_max_size": 16,
    "sample_size": 8,
}
COGVIEW3 = family(
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    COGVIEW_CONFIG,
    scheduler=partial(CogVideoXDDIMScheduler, prediction_type="v_prediction"),
    text={"prompt_embeds": (1, 224, TEXT_DIM)},
)
COGVIEW4 = family(
    CogView4Pipeline,
    CogView4Transformer2DModel,
    {**COGVIEW_CONFIG, "rope_axes_dim": (16, 16)},
    scheduler=shifted,
)
DIT = family(
    DiTPipeline,
    DiTTransformer2DModel,
    {
        **LATENTS,
        "out_channels": 8,
        "sample_size": 8,
        "num_embeds_ada_norm": 1000,
    },
    scheduler=DDIMScheduler,
    size={"class_labels": [3]},
    text={},
    parts={"vae": plain_vae},
    output="np",
)
ERNIE = family(
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_layers": 2,
        "ffn_hidden_size": 32,
        "in_channels": 16,
        "out_channels": 16,
        "text_in_dim": TEXT_DIM,
        "rope_axes_dim": ROPE,
    },
)
FLUX2_CONFIG: dict[str, Any] = {
    **PACKED,
    "timestep_guidance_channels": 16,
    "axes_dims_rope": (4, 4, 4, 4),
}
FLUX2 = family(
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FLUX2_CONFIG,
    scheduler=shifted,
    negatives=False,
)
FLUX2_KLEIN = family(
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    {**FLUX2_CONFIG, "guidance_embeds": False},
    scheduler=shifted,
    size=SMALL,
    calls_per_step=2,
    parts={"vae": flux2_vae},
)
GLM_IMAGE = family(
    GlmImagePipeline,
    GlmImageTransformer2DModel,
    {
        **LATENTS,
        "text_embed_dim": TEXT_DIM,
        "time_embed_dim": 16,
        "condition_dim": 8,
        "prior_vq_quantizer_codebook_size": 32,
    },
    scheduler=shifted,
    size={**SMALL, "prior_token_ids": torch.arange(16)[None]},
    parts={"vae": partial(image_vae, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)},
    calls_per_step=2,
)
HUNYUAN_DIT_CONFIG: dict[str, Any] = {
    **HEADS,
    "in_channels": 4,
    "patch_size": 2,
    "sample_size": 8,
    "hidden_size": 32,
    "num_layers": 4,  # the second half takes what the first half hands across
    "cross_attention_dim": TEXT_DIM,
    "cross_attention_dim_t5": TEXT_DIM,
    "pooled_projection_dim": 12,
    "text_len": 6,
    "text_len_t5": 6,
    "activation_fn": "gelu-approximate",
}
HUNYUAN_DIT_CALL: dict[str, Any] = {
    **SQUARE,
    **masks("prompt_attention_mask", "prompt_attention_mask_2", dtype=torch.int64),
    "use_resolution_binning": False,
}
HUNYUAN_DIT_TEXT = {**PROMPT, "prompt_embeds_2": (1, 6, TEXT_DIM)}
HUNYUAN_DIT = family(
    HunyuanDiTPipeline,
    HunyuanDiT2DModel,
    HUNYUAN_DIT_CONFIG,
    smaller={},
    scheduler=DDPMScheduler,
    size=HUNYUAN_DIT_CALL,
    text=HUNYUAN_DIT_TEXT,
    settings={"requires_safety_checker": False},
)
HUNYUAN_IMAGE = family(
    HunyuanImagePipeline,
    HunyuanImageTransformer2DModel,
    {
        **LATENTS,
        "num_single_layers": 2,
        "num_refiner_layers": 1,
        "text_embed_dim": TEXT_DIM,
        "text_embed_2_dim": TEXT_DIM,
        "rope_axes_dim": (8, 8),
        "patch_size": (1, 1),
    },
    size={"height": 128, "width": 128, **masks("prompt_embeds_mask", "prompt_embeds_mask_2")},
    text={**PROMPT, "prompt_embeds_2": (1, 6, TEXT_DIM)},
    guidance=None,
    calls_per_step=2,
    parts={
        "guider": partial(ClassifierFreeGuidance, guidance_scale=3.5),
        "ocr_guider": partial(ClassifierFreeGuidance, guidance_scale=3.5),
    },
)
KREA2 = family(
    Krea2Pipeline,
    Krea2Transformer2DModel,
    {
        **HEADS,
        "in_channels": 16,
        "num_layers": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 32,
        "timestep_embed_dim": 16,
        "text_hidden_dim": TEXT_DIM,
        "num_text_layers": 2,
        "text_num_attention_heads": 2,
        "text_num_key_value_heads": 1,
        "text_intermediate_size": 32,
        "axes_dims_rope": ROPE,
    },
    scheduler=shifted,
    size={**SQUARE, **masks("prompt_embeds_mask")},
    text={"prompt_embeds": (1, 6, 2, TEXT_DIM)},
)
LUMINA = family(
    LuminaPipeline,
    LuminaNextDiT2DModel,
    {
        "sample_size": 8,
        "in_channels": 4,
        "hidden_size": 32,
        "num_layers": 2,
        "num_attention_heads": 2,
        "num_kv_heads": 2,
        "multiple_of": 16,
        "cross_attention_dim": TEXT_DIM,
    },
    size=MASKED,
)
NUCLEUS = family(
    NucleusMoEImagePipeline,
    NucleusMoEImageTransformer2DModel,
    {
        **LATENTS,
        "in_channels": 16,
        "num_key_value_heads": 1,
        "joint_attention_dim": TEXT_DIM,
        "axes_dims_rope": ROPE,
        "num_experts": 2,
        "moe_intermediate_dim": 16,
        "moe_enabled": False,
    },
    scheduler=shifted,
    size={**SQUARE, **masks("prompt_embeds_mask", dtype=torch.int64)},
)
OVIS = family(
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    {
        **PACKED,
        "out_channels": 16,
        "axes_dims_rope": ROPE,
    },
    scheduler=shifted,
    size={**SQUARE, "negative_prompt": None},
)
PIXART_CONFIG: dict[str, Any] = {
    **LATENTS,
    "out_channels": 8,
    "cross_attention_dim": 32,
    "sample_size": 8,
    "caption_channels": TEXT_DIM,
}
PIXART_CALL = {**MASKED, "negative_prompt": None, "use_resolution_binning": False}
pixart = partial(
    family,
    model=PixArtTransformer2DModel,
    config=PIXART_CONFIG,
    scheduler=DPMSolverMultistepScheduler,
    size=PIXART_CALL,
)
PIXART_ALPHA = pixart(PixArtAlphaPipeline)
PIXART_SIGMA = pixart(PixArtSigmaPipeline)
PRX = family(
    PRXPipeline,
    PRXTransformer2DModel,
    {
        "in_channels": 4,
        "context_in_dim": TEXT_DIM,
        "hidden_size": 32,
        "num_heads": 2,
        "depth": 2,
        "axes_dim": [8, 8],
    },
    size={**MASKED, "use_resolution_binning": False},
    parts={"vae": plain_vae},
)
SANA_CONFIG: dict[str, Any] = {
    **LATENTS,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 32,
    "caption_channels": TEXT_DIM,
    "sample_size": 8,
}
SANA_CALL = {**PIXART_CALL, "complex_human_instruction": None}
SANA = family(SanaPipeline, SanaTransformer2DModel, SANA_CONFIG, size=SANA_CALL)
SANA_PAG = family(SanaPAGPipeline, SanaTransformer2DModel, SANA_CONFIG, size=SANA_CALL)
SANA_SPRINT = family(
    SanaSprintPipeline,
    SanaTransformer2DModel,
    {**SANA_CONFIG, "guidance_embeds": True, "qk_norm": "rms_norm_across_heads"},
    scheduler=partial(SCMScheduler, prediction_type="trigflow", sigma_data=0.5),
    size={
        **SQUARE,
        "prompt_attention_mask": torch.ones(1, 6, dtype=torch.bool),
        "use_resolution_binning": False,
        "complex_human_instruction": None,
        "intermediate_timesteps": None,
    },
    negatives=False,
)
Z_IMAGE_CONFIG: dict[str, Any] = {
    "in_channels": 4,
    "dim": 32,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "cap_feat_dim": TEXT_DIM,
    "axes_dims": list(ROPE),
    "axes_lens": [64, 32, 32],
}
Z_IMAGE = family(
    ZImagePipeline,
    ZImageTransformer2DModel,
    Z_IMAGE_CONFIG,
    listed=True,
)
Z_IMAGE_TO_IMAGE = family(
    ZImageImg2ImgPipeline,
    ZImageTransformer2DModel,
    Z_IMAGE_CONFIG,
    size={**SMALL, "image": IMAGE},
    listed=True,
    strength=0.5,
    parts={"vae": plain_vae},
)

ADAPTED = [CHROMA, FLUX2, FLUX2_KLEIN, Z_IMAGE]
IMAGES = [
    one for one in list(vars().values()) if isinstance(one, TinyFamily) and one not in ADAPTED
]
