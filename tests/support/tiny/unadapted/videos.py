"""Tiny transformers of videos, and one of sounds."""

from __future__ import annotations

from functools import partial

import torch
from diffusers import (
    AllegroPipeline,
    AllegroTransformer3DModel,
    AnyFlowPipeline,
    AnyFlowTransformer3DModel,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLMagvit,
    ChronoEditPipeline,
    ChronoEditTransformer3DModel,
    DDIMScheduler,
    EasyAnimatePipeline,
    EasyAnimateTransformer3DModel,
    EulerAncestralDiscreteScheduler,
    FlowMapEulerDiscreteScheduler,
    HeliosPipeline,
    HeliosScheduler,
    HeliosTransformer3DModel,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    LattePipeline,
    LatteTransformer3DModel,
    LucyEditPipeline,
    MotifVideoPipeline,
    MotifVideoTransformer3DModel,
    SanaImageToVideoPipeline,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
    WanAnimatePipeline,
    WanAnimateTransformer3DModel,
    WanTransformer3DModel,
)
from diffusers.guiders import ClassifierFreeGuidance
from tiny_models import TEXT_DIM, frozen, wan_scheduler, wan_settings, wan_vae
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from tiny.family import IMAGE, PROMPT, TinyFamily
from tiny.unadapted.made import LATENTS, PHOTO, ROPE, VIDEO, family, masks

MASKED = {**VIDEO, **masks("prompt_attention_mask")}
IMAGE_DIM = 16
VISION = CLIPVisionConfig(
    hidden_size=IMAGE_DIM,
    intermediate_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=4,
    patch_size=2,
)
FROM_IMAGE = {
    "image_processor": partial(CLIPImageProcessor, size=4, crop_size=4),
    "image_encoder": partial(frozen, CLIPVisionModel, 0, config=VISION),
}
video_vae = partial(wan_vae, 0, 4, spatial=8)
sky_scheduler = partial(
    UniPCMultistepScheduler,
    prediction_type="flow_prediction",
    use_flow_sigmas=True,
    flow_shift=8.0,
)
hunyuan_vae = partial(
    frozen,
    AutoencoderKLHunyuanVideo15,
    0,
    latent_channels=4,
    block_out_channels=(8, 8, 8),
    layers_per_block=1,
    spatial_compression_ratio=4,
    temporal_compression_ratio=4,
)
magvit = partial(
    frozen,
    AutoencoderKLMagvit,
    0,
    latent_channels=4,
    block_out_channels=(8, 8),
    down_block_types=("SpatialDownBlock3D", "SpatialTemporalDownBlock3D"),
    up_block_types=("SpatialUpBlock3D", "SpatialTemporalUpBlock3D"),
    layers_per_block=1,
    norm_num_groups=2,
)

ALLEGRO = family(
    AllegroPipeline,
    AllegroTransformer3DModel,
    {
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 2,
        "cross_attention_dim": 48,
        "caption_channels": TEXT_DIM,
        "sample_height": 8,
        "sample_width": 8,
        "sample_frames": 2,
    },
    scheduler=EulerAncestralDiscreteScheduler,
    size={**MASKED, "negative_prompt": None, "num_frames": 8},
)
ANYFLOW = family(
    AnyFlowPipeline,
    AnyFlowTransformer3DModel,
    {
        **LATENTS,
        "text_dim": TEXT_DIM,
        "freq_dim": 16,
        "ffn_dim": 32,
        "rope_max_seq_len": 32,
    },
    scheduler=FlowMapEulerDiscreteScheduler,
    size=VIDEO,
    parts={"vae": video_vae},
)
CHRONO_EDIT = family(
    ChronoEditPipeline,
    ChronoEditTransformer3DModel,
    {
        **wan_settings(2),
        "in_channels": 12,
        "image_dim": IMAGE_DIM,
        "added_kv_proj_dim": 32,
    },
    scheduler=sky_scheduler,
    size={**VIDEO, "image": PHOTO},
    text={"prompt_embeds": (1, 512, TEXT_DIM)},
    parts={"vae": video_vae, **FROM_IMAGE},
)
EASY_ANIMATE = family(
    EasyAnimatePipeline,
    EasyAnimateTransformer3DModel,
    {
        **LATENTS,
        "patch_size": 2,
        "sample_width": 8,
        "sample_height": 8,
        "mmdit_layers": 1,
        "time_embed_dim": 8,
        "text_embed_dim": TEXT_DIM,
        "norm_eps": 1e-5,
    },
    size={**MASKED, "height": 32, "width": 32},
    parts={"vae": magvit},
)
HELIOS = family(
    HeliosPipeline,
    HeliosTransformer3DModel,
    {**LATENTS, "text_dim": TEXT_DIM, "freq_dim": 16, "ffn_dim": 32, "rope_dim": ROPE},
    scheduler=partial(HeliosScheduler, stages=1),
    size={
        **VIDEO,
        "num_frames": 9,
        "num_latent_frames_per_chunk": 3,
        "history_sizes": [2, 2, 1],
    },
    parts={"vae": video_vae},
    calls_per_step=2,
)
HUNYUAN_VIDEO_15_PIPELINE = family(
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    {
        **LATENTS,
        "in_channels": 9,
        "num_refiner_layers": 1,
        "text_embed_dim": TEXT_DIM,
        "text_embed_2_dim": TEXT_DIM,
        "image_embed_dim": IMAGE_DIM,
        "rope_axes_dim": ROPE,
        "task_type": "t2v",
    },
    size={**VIDEO, **masks("prompt_embeds_mask", "prompt_embeds_mask_2", dtype=torch.int64)},
    text={**PROMPT, "prompt_embeds_2": (1, 6, TEXT_DIM)},
    guidance=None,
    calls_per_step=2,
    parts={
        "vae": hunyuan_vae,
        "guider": partial(ClassifierFreeGuidance, guidance_scale=4.0),
    },
)
LATTE = family(
    LattePipeline,
    LatteTransformer3DModel,
    {
        **LATENTS,
        "out_channels": 8,
        "sample_size": 8,
        "patch_size": 2,
        "activation_fn": "gelu-approximate",
        "num_embeds_ada_norm": 1000,
        "norm_type": "ada_norm_single",
        "norm_elementwise_affine": False,
        "cross_attention_dim": 32,
        "caption_channels": TEXT_DIM,
        "attention_bias": True,
        "video_length": 2,
    },
    scheduler=DDIMScheduler,
    size={"height": 64, "width": 64, "video_length": 2, "negative_prompt": None},
)
LUCY = family(
    LucyEditPipeline,
    WanTransformer3DModel,
    {**wan_settings(2), "in_channels": 8},
    scheduler=wan_scheduler,
    size={**VIDEO, "video": [PHOTO] * 5},
    parts={"vae": video_vae},
    calls_per_step=2,
)
MOTIF = family(
    MotifVideoPipeline,
    MotifVideoTransformer3DModel,
    {
        **LATENTS,
        "in_channels": 9,
        "num_single_layers": 2,
        "text_embed_dim": TEXT_DIM,
        "rope_axes_dim": ROPE,
    },
    size=MASKED,
    guidance=None,
    calls_per_step=2,
    parts={
        "vae": video_vae,
        "guider": partial(ClassifierFreeGuidance, guidance_scale=4.0),
    },
)
SANA_VIDEO_CONFIG = {
    **LATENTS,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 32,
    "caption_channels": TEXT_DIM,
    "sample_size": 8,
    "rope_max_seq_len": 32,
}
SANA_VIDEO_SIZE = {
    "height": 64,
    "width": 64,
    "frames": 5,
    "negative_prompt": None,
    **masks("prompt_attention_mask"),
    "use_resolution_binning": False,
    "complex_human_instruction": None,
}
SANA_VIDEO_PIPELINE = family(
    SanaVideoPipeline, SanaVideoTransformer3DModel, SANA_VIDEO_CONFIG, size=SANA_VIDEO_SIZE
)
SANA_VIDEO_FROM_IMAGE = family(
    SanaImageToVideoPipeline,
    SanaVideoTransformer3DModel,
    SANA_VIDEO_CONFIG,
    size={**SANA_VIDEO_SIZE, "image": PHOTO},
    parts={"vae": video_vae},
)
SKY_REELS_CONFIG = wan_settings(2)
SKY_REELS = family(
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
    SKY_REELS_CONFIG,
    scheduler=sky_scheduler,
    size=VIDEO,
    calls_per_step=2,
    parts={"vae": video_vae},
)
SKY_REELS_IMAGE = family(
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Transformer3DModel,
    {
        **SKY_REELS_CONFIG,
        "in_channels": 12,
        "image_dim": IMAGE_DIM,
        "added_kv_proj_dim": 32,
    },
    scheduler=sky_scheduler,
    size={**VIDEO, "image": PHOTO},
    text={"prompt_embeds": (1, 512, TEXT_DIM)},
    calls_per_step=2,
    parts={"vae": video_vae, **FROM_IMAGE},
)
SKY_REELS_FORCING = family(
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2Transformer3DModel,
    {**SKY_REELS_CONFIG, "inject_sample_info": True},
    scheduler=sky_scheduler,
    size={**VIDEO, "prompt": None, "base_num_frames": 5},
    calls_per_step=2,
    parts={"vae": video_vae},
)
WAN_ANIMATE_PIPELINE = family(
    WanAnimatePipeline,
    WanAnimateTransformer3DModel,
    {
        **wan_settings(2),
        "in_channels": 12,
        "latent_channels": 4,
        "image_dim": IMAGE_DIM,
        "motion_encoder_channel_sizes": {"4": 8, "8": 8, "16": 8},
        "motion_encoder_size": 16,
        "motion_style_dim": 8,
        "motion_dim": 4,
        "motion_encoder_dim": 16,
        "face_encoder_hidden_dim": 16,
        "face_encoder_num_heads": 2,
        "inject_face_latents_blocks": 2,
    },
    smaller={"ffn_dim": 8},  # one block would have no adapter for faces
    scheduler=wan_scheduler,
    size={
        "height": 64,
        "width": 64,
        "segment_frame_length": 5,
        "image": PHOTO,
        "pose_video": [PHOTO] * 5,
        "face_video": [IMAGE] * 5,
    },
    text={"prompt_embeds": (1, 512, TEXT_DIM)},
    parts={"vae": video_vae, **FROM_IMAGE},
)

ADAPTED = [
    ALLEGRO,
    CHRONO_EDIT,
    HUNYUAN_VIDEO_15_PIPELINE,
    SANA_VIDEO_PIPELINE,
    SANA_VIDEO_FROM_IMAGE,
    SKY_REELS,
    SKY_REELS_IMAGE,
    SKY_REELS_FORCING,
    WAN_ANIMATE_PIPELINE,
]
VIDEOS = [
    one for one in list(vars().values()) if isinstance(one, TinyFamily) and one not in ADAPTED
]
