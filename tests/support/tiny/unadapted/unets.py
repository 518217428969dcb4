"""Tiny UNets, and pipelines whose denoiser is called a prior or a decoder."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers import (
    AnimateDiffPAGPipeline,
    AnimateDiffPipeline,
    AnimateDiffVideoToVideoPipeline,
    AutoencoderKLTemporalDecoder,
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    IFPipeline,
    Kandinsky3Pipeline,
    Kandinsky3UNet,
    KandinskyV22Pipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    MotionAdapter,
    PNDMScheduler,
    StableCascadeDecoderPipeline,
    StableCascadeUNet,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPAGPipeline,
    StableDiffusionPipeline,
    StableVideoDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    UNetSpatioTemporalConditionModel,
    VQModel,
)
from tiny_models import TEXT_DIM, frozen
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from tiny.family import IMAGE, PROMPT, TinyFamily
from tiny.sd3 import image_vae
from tiny.unadapted.made import MASK, SMALL, SQUARE, family

UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "in_channels": 4,
    "out_channels": 4,
}
CONDITIONED: dict[str, Any] = {
    **UNET,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": TEXT_DIM,
    "attention_head_dim": 2,
}
PLAIN: dict[str, Any] = {
    **UNET,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 8,
    "in_channels": 3,
    "out_channels": 3,
}
SMALLER = {"layers_per_block": 2}
vae = partial(image_vae, scaling_factor=0.18215)
scaled = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
WITHOUT_CHECKER = {"requires_safety_checker": False}


def stable_diffusion(kind: Any, **more: Any) -> Any:
    """A pipeline of Stable Diffusion 1.5."""
    return family(
        kind,
        UNet2DConditionModel,
        more.pop("config", CONDITIONED),
        **{
            "smaller": SMALLER,
            "scheduler": partial(PNDMScheduler, skip_prk_steps=True, **scaled),
            "size": SMALL,
            "attribute": "unet",
            "parts": {"vae": vae},
            "settings": WITHOUT_CHECKER,
            **more,
        },
    )


STABLE_DIFFUSION = stable_diffusion(StableDiffusionPipeline)
STABLE_DIFFUSION_HEUN = stable_diffusion(
    StableDiffusionPipeline, scheduler=partial(HeunDiscreteScheduler, **scaled)
)
STABLE_DIFFUSION_IMAGE = stable_diffusion(
    StableDiffusionImg2ImgPipeline, size={"image": IMAGE}, strength=0.5
)
STABLE_DIFFUSION_INPAINT = stable_diffusion(
    StableDiffusionInpaintPipeline,
    size={**SMALL, "image": IMAGE, "mask_image": MASK},
    scheduler=partial(DDIMScheduler, **scaled),
    strength=1.0,
)
STABLE_DIFFUSION_PAG = stable_diffusion(
    StableDiffusionPAGPipeline, scheduler=partial(DDIMScheduler, **scaled)
)
LATENT_CONSISTENCY = stable_diffusion(
    LatentConsistencyModelPipeline,
    config={**CONDITIONED, "time_cond_proj_dim": 16},
    scheduler=partial(LCMScheduler, **scaled),
    negatives=False,
)
MOTION: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "motion_layers_per_block": 1,
    "motion_norm_num_groups": 2,
    "motion_num_attention_heads": 2,
}


motion_adapter = partial(frozen, MotionAdapter, 1, **MOTION)


def animate_diff(kind: Any, **more: Any) -> Any:
    """A UNet that a motion adapter makes a model of videos; the pipeline joins the two."""
    return stable_diffusion(
        kind,
        **{
            "scheduler": partial(DDIMScheduler, beta_schedule="linear", clip_sample=False),
            "size": {**SMALL, "num_frames": 4},
            "parts": {"vae": vae, "motion_adapter": motion_adapter},
            "settings": {},
            **more,
        },
    )


ANIMATE_DIFF = animate_diff(AnimateDiffPipeline)
ANIMATE_DIFF_PAG = animate_diff(AnimateDiffPAGPipeline)
ANIMATE_DIFF_VIDEO = animate_diff(
    AnimateDiffVideoToVideoPipeline, size={**SMALL, "video": [IMAGE] * 4}, strength=0.5
)


def unconditional(kind: Any, scheduler: Any) -> Any:
    """A pipeline that takes neither a prompt nor a size."""
    return family(
        kind,
        UNet2DModel,
        PLAIN,
        smaller=SMALLER,
        scheduler=scheduler,
        size={},
        text={},
        attribute="unet",
        guidance=None,
        output="np",
    )


DDIM = unconditional(DDIMPipeline, DDIMScheduler)
DDPM = unconditional(DDPMPipeline, DDPMScheduler)
CONSISTENCY = unconditional(
    ConsistencyModelPipeline, partial(CMStochasticIterativeScheduler, num_train_timesteps=40)
)
DEEP_FLOYD = stable_diffusion(
    IFPipeline,
    config={**CONDITIONED, "in_channels": 3, "out_channels": 6},
    scheduler=partial(DDPMScheduler, variance_type="learned_range"),
    size=SMALL,
    parts={},
    output="pt",
)
VISION = CLIPVisionConfig(
    hidden_size=TEXT_DIM,
    intermediate_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=224,
    patch_size=112,
    projection_dim=TEXT_DIM,
)
FROM_IMAGE = {
    "feature_extractor": CLIPImageProcessor,
    "image_encoder": partial(frozen, CLIPVisionModelWithProjection, 0, config=VISION),
}
video_vae = partial(
    frozen,
    AutoencoderKLTemporalDecoder,
    0,
    block_out_channels=(32, 64),
    down_block_types=("DownEncoderBlock2D",) * 2,
    latent_channels=4,
)
VIDEO_DIFFUSION = family(
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
    {
        "sample_size": 8,
        "layers_per_block": 1,
        "out_channels": 4,
        "in_channels": 8,
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        "cross_attention_dim": TEXT_DIM,
        "num_attention_heads": 2,
        "projection_class_embeddings_input_dim": 24,
        "addition_time_embed_dim": 8,
    },
    scheduler=partial(
        EulerDiscreteScheduler,
        prediction_type="v_prediction",
        use_karras_sigmas=True,
        timestep_type="continuous",
        sigma_min=0.002,
        sigma_max=700.0,
    ),
    size={**SMALL, "image": IMAGE, "num_frames": 4},
    text={},
    parts={"vae": video_vae, **FROM_IMAGE},
    attribute="unet",
    guidance=None,
)
MOVQ: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    "norm_num_groups": 4,
    "norm_type": "spatial",
    "num_vq_embeddings": 12,
    "vq_embed_dim": 4,
    "latent_channels": 4,
}
EMBEDS = {
    "image_embeds": torch.ones(1, TEXT_DIM),
    "negative_image_embeds": torch.zeros(1, TEXT_DIM),
}
KANDINSKY22_UNET: dict[str, Any] = {
    **UNET,
    "out_channels": 8,
    "block_out_channels": (32, 64),
    "norm_num_groups": 32,
    "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "addition_embed_type": "image",
    "cross_attention_dim": TEXT_DIM,
    "encoder_hid_dim": TEXT_DIM,
    "encoder_hid_dim_type": "image_proj",
    "attention_head_dim": 4,
    "resnet_time_scale_shift": "scale_shift",
    "class_embed_type": None,
}
movq = partial(frozen, VQModel, 2, **MOVQ)
KANDINSKY22 = family(
    KandinskyV22Pipeline,
    UNet2DConditionModel,
    KANDINSKY22_UNET,
    smaller=SMALLER,
    scheduler=DDPMScheduler,
    size={**SQUARE, **EMBEDS},
    text={},
    attribute="unet",
    parts={"movq": movq},
)
KANDINSKY3 = family(
    Kandinsky3Pipeline,
    Kandinsky3UNet,
    {
        "in_channels": 4,
        "time_embedding_dim": 16,
        "groups": 2,
        "attention_head_dim": 4,
        "layers_per_block": 2,
        "block_out_channels": (32, 64),
        "cross_attention_dim": TEXT_DIM,
        "encoder_hid_dim": TEXT_DIM,
    },
    scheduler=DDPMScheduler,
    size={
        **SQUARE,
        "attention_mask": torch.ones(1, 6),
        "negative_attention_mask": torch.ones(1, 6),
    },
    attribute="unet",
    parts={"movq": movq},
)
CASCADE: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "conditioning_dim": 16,
    "block_out_channels": (16, 16),
    "num_attention_heads": (2, 2),
    "down_num_layers_per_block": (1, 1),
    "up_num_layers_per_block": (1, 1),
    "clip_image_in_channels": 16,
    "clip_text_in_channels": TEXT_DIM,
    "clip_text_pooled_in_channels": 12,
    "dropout": (0.0, 0.0),
    "timestep_ratio_embedding_dim": 16,
    "switch_level": (False,),
}
CASCADE_TEXT = {**PROMPT, "prompt_embeds_pooled": (1, 1, 12)}
CASCADE_DECODER = family(
    StableCascadeDecoderPipeline,
    StableCascadeUNet,
    {**CASCADE, "effnet_in_channels": 4},
    scheduler=DDPMWuerstchenScheduler,
    size={"image_embeddings": torch.ones(1, 4, 4, 4)},
    text=CASCADE_TEXT,
    attribute="decoder",
)

UNETS = [one for one in list(vars().values()) if isinstance(one, TinyFamily)]
