"""Tiny random models of the real classes, and pipelines of them."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)

TEXT_DIM = 16
IDENTITY = [0.0, 0.0, 0.0, 1.0, 0.0]
"""Coefficients of the identity: TeaCache then accumulates the relative L1 distance itself."""


def tiny_transformer(seed: int = 0, *, layers: int = 3, **config: Any) -> WanTransformer3DModel:
    """A random Wan transformer; its output layer is not zero, so that it predicts something."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": TEXT_DIM,
        "freq_dim": 16,
        "ffn_dim": 32,
        "num_layers": layers,
        "rope_max_seq_len": 32,
        **config,
    }
    return WanTransformer3DModel(**settings).eval().requires_grad_(False)


def tiny_vae() -> AutoencoderKLWan:
    """A random VAE with 4 latent channels and 2x spatial compression."""
    torch.manual_seed(0)
    return (
        AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        )
        .eval()
        .requires_grad_(False)
    )


def wan_vae(seed: int, z_dim: int, *, spatial: int) -> AutoencoderKLWan:
    """A random VAE: 8x like Wan 2.1's, or 16x like Wan 2.2's TI2V-5B's; 4x in time."""
    torch.manual_seed(seed)
    patches: dict[str, Any] = {
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "decoder_base_dim": 4,
        "scale_factor_spatial": 16,
    }
    vae = AutoencoderKLWan(
        base_dim=4,
        z_dim=z_dim,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1] * z_dim,
        latents_std=[0.7] * z_dim,
        **(patches if spatial == 16 else {}),
    )
    return vae.eval().requires_grad_(False)


def tiny_pipeline(seed: int = 0, scheduler: Any = None, **config: Any) -> WanPipeline:
    """A Wan pipeline without text encoder: it is called with prompt embeddings."""
    if scheduler is None:
        scheduler = UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        )
    pipeline = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=tiny_vae(),
        scheduler=scheduler,
        transformer=tiny_transformer(seed, **config),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def call_arguments(steps: int = 8, *, seed: int = 0, guidance: float = 4.0, **more: Any) -> dict:
    """Arguments for a tiny pipeline's call; a new generator each time."""
    conditions = torch.Generator().manual_seed(1234)
    return {
        "prompt_embeds": torch.randn(1, 6, TEXT_DIM, generator=conditions),
        "negative_prompt_embeds": torch.randn(1, 6, TEXT_DIM, generator=conditions),
        "height": 16,
        "width": 16,
        "num_frames": 5,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "generator": torch.Generator().manual_seed(seed),
        "output_type": "latent",
        **more,
    }
