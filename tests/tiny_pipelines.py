"""Tiny random pipelines of every family: the real pipeline, model, VAE and scheduler classes.

They have no text encoders: they are called with prompt embeddings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LTXImageToVideoPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tiny_models import TEXT_DIM, tiny_pipeline, tiny_transformer
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

POOLED_DIM = 12
IMAGE_DIM = 8


def frozen(build: Callable[..., Any], seed: int, **config: Any) -> Any:
    """A random model that always has the same weights."""
    torch.manual_seed(seed)
    return build(**config).eval().requires_grad_(False)


def quiet(pipeline: Any) -> Any:
    """The pipeline, without progress bars."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


# Wan


def wan_2_2_pipeline(**config: Any) -> WanPipeline:
    """Two experts; the second takes over where that of A14B does."""
    first = tiny_pipeline(**config)
    second = tiny_transformer(seed=3, **config)
    components = {**first.components, "transformer_2": second}
    return quiet(WanPipeline(**components, boundary_ratio=0.875))


def wan_image_transformer(seed: int = 0, layers: int = 3, **config: Any) -> WanTransformer3DModel:
    """A random transformer of image to video."""
    settings: dict[str, Any] = {
        "in_channels": 36,  # 16 noisy, 4 of the mask, 16 of the image
        "out_channels": 16,
        "image_dim": IMAGE_DIM,
        "added_kv_proj_dim": config.get("attention_head_dim", 16)
        * config.get("num_attention_heads", 2),
        **config,
    }
    return tiny_transformer(seed, layers=layers, **settings)


def wan_image_pipeline(**config: Any) -> WanImageToVideoPipeline:
    """Image to video, with a CLIP image encoder."""
    vae = frozen(
        AutoencoderKLWan,
        0,
        base_dim=4,
        z_dim=16,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        scale_factor_spatial=4,
        scale_factor_temporal=4,
    )
    clip = CLIPVisionConfig(
        hidden_size=IMAGE_DIM,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=4,
        patch_size=2,
    )
    return quiet(
        WanImageToVideoPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=vae,
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
            ),
            image_processor=CLIPImageProcessor(size=4, crop_size=4),
            image_encoder=frozen(CLIPVisionModel, 0, config=clip),
            transformer=wan_image_transformer(**config),
        )
    )


# CogVideoX

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
    return quiet(
        CogVideoXPipeline(
            tokenizer=None,
            text_encoder=None,
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
    return quiet(CogVideoXImageToVideoPipeline(**text_to_video.components))


# Stable Diffusion 3.5


def sd3_transformer(seed: int = 0, layers: int = 3, **config: Any) -> SD3Transformer2DModel:
    """A random transformer."""
    head_dim, heads = config.get("attention_head_dim", 16), config.get("num_attention_heads", 2)
    settings: dict[str, Any] = {
        "sample_size": 8,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": layers,
        "attention_head_dim": head_dim,
        "num_attention_heads": heads,
        "joint_attention_dim": TEXT_DIM,
        "caption_projection_dim": head_dim * heads,
        "pooled_projection_dim": POOLED_DIM,
        "pos_embed_max_size": 16,
        "qk_norm": "rms_norm",
        **config,
    }
    return frozen(SD3Transformer2DModel, seed, **settings)


def image_vae(**config: Any) -> AutoencoderKL:
    """A random VAE of images with 2x compression."""
    return frozen(
        AutoencoderKL,
        0,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4),
        latent_channels=4,
        norm_num_groups=2,
        **config,
    )


def sd3_pipeline(**config: Any) -> StableDiffusion3Pipeline:
    """A pipeline with the scheduler and the scale of SD3.5."""
    encoders = {
        f"{kind}{number}": None
        for kind in ("text_encoder", "tokenizer")
        for number in ("", "_2", "_3")
    }
    return quiet(
        StableDiffusion3Pipeline(
            transformer=sd3_transformer(**config),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=image_vae(scaling_factor=1.5305, shift_factor=0.0609),
            **encoders,
        )
    )


# LTX-Video


def ltx_transformer(seed: int = 0, layers: int = 3, **config: Any) -> LTXVideoTransformer3DModel:
    """A random transformer."""
    head_dim, heads = config.get("attention_head_dim", 16), config.get("num_attention_heads", 2)
    settings: dict[str, Any] = {
        "in_channels": 8,
        "out_channels": 8,
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "cross_attention_dim": head_dim * heads,
        "num_layers": layers,
        "caption_channels": TEXT_DIM,
        **config,
    }
    return frozen(LTXVideoTransformer3DModel, seed, **settings)


def ltx_pipeline(**config: Any) -> LTXPipeline:
    """A pipeline with the scheduler of LTX-Video 0.9."""
    vae = frozen(
        AutoencoderKLLTXVideo,
        0,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        patch_size=2,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.95,
        max_shift=2.05,
        base_image_seq_len=1024,
        max_image_seq_len=4096,
        shift_terminal=0.1,
    )
    return quiet(
        LTXPipeline(
            scheduler=scheduler,
            vae=vae,
            text_encoder=None,
            tokenizer=None,
            transformer=ltx_transformer(**config),
        )
    )


def ltx_image_pipeline(**config: Any) -> LTXImageToVideoPipeline:
    """Image to video: each token has a timestep of its own."""
    return quiet(LTXImageToVideoPipeline(**ltx_pipeline(**config).components))


# SDXL


def sdxl_unet(seed: int = 0, depth: int = 2, **config: Any) -> UNet2DConditionModel:
    """A random UNet with SDXL's conditioning."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "transformer_layers_per_block": (1, depth),
        "projection_class_embeddings_input_dim": 6 * 8 + POOLED_DIM,
        "cross_attention_dim": TEXT_DIM,
        **config,
    }
    return frozen(UNet2DConditionModel, seed, **settings)


def sdxl_pipeline(**config: Any) -> StableDiffusionXLPipeline:
    """A pipeline with SDXL's scheduler and scale."""
    return quiet(
        StableDiffusionXLPipeline(
            vae=image_vae(scaling_factor=0.13025),
            text_encoder=None,
            text_encoder_2=None,
            tokenizer=None,
            tokenizer_2=None,
            unet=sdxl_unet(**config),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                steps_offset=1,
                timestep_spacing="leading",
            ),
            add_watermarker=False,
        )
    )
