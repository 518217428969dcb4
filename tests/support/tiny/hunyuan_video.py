"""Tiny HunyuanVideo: text to video, both kinds of image to video, and FramePack."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoFramepackPipeline,
    HunyuanVideoFramepackTransformer3DModel,
    HunyuanVideoImageToVideoPipeline,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from tiny_models import TEXT_DIM, assembled, frozen
from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

from tiny.family import IMAGE, POOLED, POOLED_DIM, BlockStack, TinyFamily, output_of


def hunyuan_video_settings(layers: int = 2, **config: Any) -> dict[str, Any]:
    """Settings of a small model."""
    head_dim = config.get("attention_head_dim", 16)
    return {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": head_dim,
        "num_layers": layers,
        "num_single_layers": layers,
        "num_refiner_layers": 1,
        "text_embed_dim": TEXT_DIM,
        "pooled_projection_dim": POOLED_DIM,
        "rope_axes_dim": (head_dim // 4, head_dim * 3 // 8, head_dim * 3 // 8),
        **config,
    }


def hunyuan_video_transformer(seed: int = 0, **config: Any) -> HunyuanVideoTransformer3DModel:
    """A random transformer."""
    return frozen(HunyuanVideoTransformer3DModel, seed, **hunyuan_video_settings(**config))


def hunyuan_video_pipeline(**config: Any) -> HunyuanVideoPipeline:
    """A pipeline with HunyuanVideo's scheduler."""
    vae = frozen(
        AutoencoderKLHunyuanVideo,
        0,
        latent_channels=4,
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        norm_num_groups=2,
    )
    return assembled(
        HunyuanVideoPipeline,
        transformer=hunyuan_video_transformer(**config),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )


def hunyuan_video_image_pipeline(**config: Any) -> HunyuanVideoImageToVideoPipeline:
    """Image to video; the published pipelines open no cache context."""
    components = hunyuan_video_pipeline(**config).components
    return assembled(HunyuanVideoImageToVideoPipeline, **components)


IMAGE_DIM = 8


def framepack_transformer(seed: int = 0, **config: Any) -> HunyuanVideoFramepackTransformer3DModel:
    """A random transformer that takes the frames so far, and an image's embedding."""
    settings = hunyuan_video_settings(**config)
    given = {"has_image_proj": True, "image_proj_dim": IMAGE_DIM, "has_clean_x_embedder": True}
    return frozen(HunyuanVideoFramepackTransformer3DModel, seed, **given, **settings)


def framepack_pipeline(**config: Any) -> HunyuanVideoFramepackPipeline:
    """A pipeline that makes a video section by section."""
    vision = SiglipVisionConfig(
        hidden_size=IMAGE_DIM,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=4,
        patch_size=2,
    )
    components = {
        **hunyuan_video_pipeline().components,
        "transformer": framepack_transformer(**config),
        "image_encoder": frozen(SiglipVisionModel, 0, config=vision),
        "feature_extractor": SiglipImageProcessor(size={"height": 4, "width": 4}),
    }
    return assembled(HunyuanVideoFramepackPipeline, **components)


LATENT_CONCAT = {"image_condition_type": "latent_concat", "in_channels": 9}
"""The image's latents and a mask lie beside the noisy latents."""
TOKEN_REPLACE = {"image_condition_type": "token_replace", "guidance_embeds": True}
"""The image's latents are the first frame, which has blocks and a time embedding of its own."""

HUNYUAN_VIDEO = TinyFamily(
    "hunyuan-video",
    "hunyuan-video",
    hunyuan_video_pipeline,
    partial(hunyuan_video_transformer, seed=7, layers=1),
    {"height": 32, "width": 32, "num_frames": 5},
    POOLED,
    masked=True,
    blocks=BlockStack(
        output_of("transformer_blocks.0.norm1", 0),
        lists=("transformer_blocks", "single_transformer_blocks"),
        returns="he",
    ),
)
HUNYUAN_VIDEO_TRUE_GUIDANCE = replace(
    HUNYUAN_VIDEO, name="hunyuan-video-true-guidance", calls_per_step=2, guidance="true_cfg_scale"
)
HUNYUAN_VIDEO_LATENT_CONCAT = replace(
    HUNYUAN_VIDEO_TRUE_GUIDANCE,
    name="hunyuan-video-i2v-latent-concat",
    pipeline=partial(hunyuan_video_image_pipeline, guidance_embeds=False, **LATENT_CONCAT),
    render=partial(HUNYUAN_VIDEO.render, guidance_embeds=False, **LATENT_CONCAT),
    size={**HUNYUAN_VIDEO.size, "image": IMAGE},
)
HUNYUAN_VIDEO_TOKEN_REPLACE = replace(
    HUNYUAN_VIDEO_LATENT_CONCAT,
    name="hunyuan-video-i2v-token-replace",
    pipeline=partial(hunyuan_video_image_pipeline, **TOKEN_REPLACE),
    render=partial(HUNYUAN_VIDEO.render, **TOKEN_REPLACE),
)
FRAMEPACK = replace(
    HUNYUAN_VIDEO,
    name="framepack",
    family="framepack",
    pipeline=framepack_pipeline,
    render=partial(framepack_transformer, seed=7, layers=1),
    size={**HUNYUAN_VIDEO.size, "image": IMAGE, "latent_window_size": 2},
    output="pt",
)
