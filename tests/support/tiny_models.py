"""Tiny random models of the real classes, and pipelines of them."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKLWan

from sraccel.testing.tiny_wan import (
    TEXT_DIM,
    assembled,
    call_arguments,
    frozen,
    tiny_pipeline,
    tiny_transformer,
    tiny_vae,
    wan_scheduler,
    wan_settings,
)

__all__ = [
    "IDENTITY",
    "TEXT_DIM",
    "assembled",
    "call_arguments",
    "frozen",
    "tiny_pipeline",
    "tiny_transformer",
    "tiny_vae",
    "wan_scheduler",
    "wan_settings",
    "wan_vae",
]

IDENTITY = [0.0, 0.0, 0.0, 1.0, 0.0]
"""Coefficients of the identity: TeaCache then accumulates the relative L1 distance itself."""


def wan_vae(seed: int, z_dim: int, *, spatial: int) -> AutoencoderKLWan:
    """A random VAE: 8x like Wan 2.1's, or 16x like Wan 2.2's TI2V-5B's; 4x in time."""
    patches: dict[str, Any] = {
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "decoder_base_dim": 4,
        "scale_factor_spatial": 16,
    }
    return frozen(
        AutoencoderKLWan,
        seed,
        base_dim=4,
        z_dim=z_dim,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1] * z_dim,
        latents_std=[0.7] * z_dim,
        **(patches if spatial == 16 else {}),
    )
