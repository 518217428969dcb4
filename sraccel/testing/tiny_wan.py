"""Tiny random models of the real classes, and a Wan pipeline of them: no weights are downloaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)

TEXT_DIM = 16


def frozen(build: Callable[..., Any], seed: int, **config: Any) -> Any:
    """A random model that always has the same weights."""
    torch.manual_seed(seed)
    return build(**config).eval().requires_grad_(False)


def assembled(kind: Callable[..., Any], **components: Any) -> Any:
    """A pipeline of these components, without progress bars and text encoders."""
    parameters = inspect.signature(kind).parameters.values()
    missing = (one.name for one in parameters if one.default is one.empty)
    pipeline = kind(**{**dict.fromkeys(missing), **components})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def wan_settings(layers: int = 3, **config: Any) -> dict[str, Any]:
    """Settings of a small Wan transformer."""
    return {
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


def tiny_transformer(seed: int = 0, **config: Any) -> WanTransformer3DModel:
    """A random Wan transformer; its output layer is not zero, so that it predicts something."""
    found: WanTransformer3DModel = frozen(WanTransformer3DModel, seed, **wan_settings(**config))
    return found


def tiny_vae(kind: Any = AutoencoderKLWan) -> Any:
    """A random VAE with 4 latent channels and 2x spatial compression, of Wan's architecture."""
    return frozen(
        kind,
        0,
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )


def wan_scheduler() -> UniPCMultistepScheduler:
    """The scheduler of Wan's pipelines."""
    return UniPCMultistepScheduler(  # type: ignore[no-untyped-call]
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def tiny_pipeline(seed: int = 0, scheduler: Any = None, **config: Any) -> WanPipeline:
    """A Wan pipeline without text encoder: it is called with prompt embeddings."""
    found: WanPipeline = assembled(
        WanPipeline,
        vae=tiny_vae(),
        scheduler=scheduler or wan_scheduler(),
        transformer=tiny_transformer(seed, **config),
    )
    return found


def heun_pipeline() -> WanPipeline:
    """A tiny pipeline whose solver evaluates the model twice a step."""
    scheduler = FlowMatchHeunDiscreteScheduler(shift=3.0)  # type: ignore[no-untyped-call]
    return tiny_pipeline(scheduler=scheduler)


def two_experts_pipeline() -> WanPipeline:
    """A tiny pipeline of two experts, as Wan 2.2's: the pipeline itself switches between them."""
    first: Any = tiny_pipeline()
    components = {**first.components, "transformer_2": tiny_transformer(seed=3)}
    found: WanPipeline = assembled(WanPipeline, **components, boundary_ratio=0.875)
    return found


def call_arguments(
    steps: int = 8, *, seed: int = 0, guidance: float = 4.0, **more: Any
) -> dict[str, Any]:
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
