"""Tiny CogVideoX: 5B, 2B, video to video, and image to video of 1.5."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    CogVideoXVideoToVideoPipeline,
)
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import IMAGE, PROMPT, BlockStack, TinyFamily, argument_of

COGVIDEOX = {
    "5b": {"rotary": True, "scaling_factor": 0.7, "snr_shift_scale": 1.0},
    "2b": {"rotary": False, "scaling_factor": 1.15258426, "snr_shift_scale": 3.0},
}
"""What tells the two published models apart, as their configurations say."""

COGVIDEOX_SCHEDULERS = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}


def cogvideox_transformer(
    version: str = "5b", seed: int = 0, layers: int = 3, **config: Any
) -> Any:
    """A random transformer of a version."""
    settings: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 8,
        "text_embed_dim": TEXT_DIM,
        "num_layers": layers,
        "sample_width": 8,
        "sample_height": 8,
        "sample_frames": 9,
        "max_text_seq_length": 6,
        "use_rotary_positional_embeddings": COGVIDEOX[version]["rotary"],
        **config,
    }
    return frozen(CogVideoXTransformer3DModel, seed, **settings)


def cogvideox_pipeline(
    version: str = "5b", scheduler: str = "ddim", seed: int = 0, **config: Any
) -> CogVideoXPipeline:
    """A pipeline with the noise schedule and the VAE's scale of a version."""
    published = COGVIDEOX[version]
    vae = frozen(
        AutoencoderKLCogVideoX,
        0,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=published["scaling_factor"],
    )
    return assembled(
        CogVideoXPipeline,
        vae=vae,
        transformer=cogvideox_transformer(version, seed, **config),
        scheduler=COGVIDEOX_SCHEDULERS[scheduler](
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            snr_shift_scale=published["snr_shift_scale"],
        ),
    )


COGVIDEOX_1_5_IMAGE = {
    "in_channels": 8,  # 4 noisy, 4 of the image
    "patch_size_t": 2,
    "patch_bias": False,
    "ofs_embed_dim": 8,
}
"""What tells image to video of 1.5 apart."""


def cogvideox_image_pipeline(**config: Any) -> CogVideoXImageToVideoPipeline:
    """Image to video of 1.5: patches of two frames, and an embedded frame offset."""
    text_to_video = cogvideox_pipeline(**COGVIDEOX_1_5_IMAGE, **config)
    return assembled(CogVideoXImageToVideoPipeline, **text_to_video.components)


def cogvideox_video_pipeline(**config: Any) -> CogVideoXVideoToVideoPipeline:
    """Video to video, whose loop begins in the middle of the schedule."""
    return assembled(CogVideoXVideoToVideoPipeline, **cogvideox_pipeline(**config).components)


COGVIDEOX_DDIM = TinyFamily(
    "cogvideox-ddim",
    "cogvideox",
    cogvideox_pipeline,
    partial(cogvideox_transformer, seed=7, layers=2, num_attention_heads=1),
    {"height": 64, "width": 64, "num_frames": 9},
    PROMPT,
    blocks=BlockStack(argument_of("transformer_blocks.0.norm1", 2), returns="he"),
)
COGVIDEOX_DPM = replace(
    COGVIDEOX_DDIM,
    name="cogvideox-dpm",
    pipeline=partial(cogvideox_pipeline, scheduler="dpm"),
    render=partial(cogvideox_transformer, seed=7, layers=2),
)
COGVIDEOX_IMAGE_TO_VIDEO = replace(
    COGVIDEOX_DDIM,
    name="cogvideox-1.5-i2v",
    pipeline=cogvideox_image_pipeline,
    render=partial(cogvideox_transformer, seed=7, layers=2, **COGVIDEOX_1_5_IMAGE),
    size={**COGVIDEOX_DDIM.size, "image": IMAGE},
)
COGVIDEOX_2B = replace(
    COGVIDEOX_DDIM,
    name="cogvideox-2b",
    pipeline=partial(cogvideox_pipeline, "2b"),
    render=partial(cogvideox_transformer, "2b", seed=7, layers=2),
)
COGVIDEOX_VIDEO_TO_VIDEO = replace(
    COGVIDEOX_DDIM,
    name="cogvideox-v2v",
    pipeline=cogvideox_video_pipeline,
    size={"height": 64, "width": 64, "video": [IMAGE] * 9},
    strength=0.5,
)
