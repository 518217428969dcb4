"""Pipelines of `gpu_wan.py`: denoisers of published configurations, with random weights.

The sizes are those of diffusers' conversion scripts (`convert_wan_to_diffusers.py`,
`convert_cogvideox_to_diffusers.py`); what they leave out, diffusers' classes have as defaults.
Weights are made on the device: nothing is downloaded. A call costs what it costs with trained
weights; videos show nothing, so VAE and text encoder are left small or out, and nothing is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
import torch

DEVIATION = 0.02
"""Of the weights: small enough for outputs to stay finite in bfloat16."""
WAN = {"attention_head_dim": 128, "text_dim": 4096}
WAN_SCHEDULER = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
COG_SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
TINY = {"num_layers": 2, "num_attention_heads": 2}
"""In place of a published depth and width, for a try on a CPU."""


@dataclass(frozen=True)
class Model:
    """A published model.

    Attributes:
        config: of its transformer.
        scale: of the VAE's latents; shift: of the noise schedule (CogVideoX).
    """

    config: dict[str, Any]
    scale: float = 1.0
    shift: float = 1.0


@dataclass(frozen=True)
class Pair:
    """A large model that sketches, and a small one that renders.

    Attributes:
        sizes: the published one first, then a smaller one: height, width, frames.
        tokens: of the text.
        skipped: share of the calls that a cache skips, as published speeds imply it.
        plans: whether its scheduler can take placed steps; else there are fewer, uniform ones.
    """

    family: str
    sketch: Model
    render: Model
    sizes: tuple[tuple[int, int, int], tuple[int, int, int]]
    tokens: int
    skipped: float
    plans: bool = True


PAIRS = {
    "wan2.1": Pair(
        "wan",
        Model({"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824, **WAN}),
        Model({"num_layers": 30, "num_attention_heads": 12, "ffn_dim": 8960, **WAN}),
        ((480, 832, 81), (240, 416, 33)),
        tokens=512,
        skipped=0.5,  # TeaCache, 14B, threshold 0.10: 1829 s to 915 s
    ),
    "cogvideox": Pair(
        "cogvideox",
        Model(
            {"num_layers": 42, "num_attention_heads": 48, "use_rotary_positional_embeddings": True},
            scale=0.7,
        ),
        Model({"num_layers": 30, "num_attention_heads": 30}, scale=1.15258426, shift=3.0),
        ((480, 720, 49), (240, 400, 17)),  # tokens that fill SageAttention 1's blocks of 64
        tokens=226,
        skipped=0.44,  # TeaCache, CogVideoX1.5: 1.8x
        plans=False,
    ),
}
TINY_SIZES = ((48, 64, 9), (32, 32, 5))


def sizes_of(pair: Pair, tiny: bool) -> tuple[tuple[int, int, int], ...]:
    """The published size, and a smaller one."""
    return TINY_SIZES if tiny else pair.sizes


def pipeline(pair: Pair, model: Model, device: str, tiny: bool) -> Any:
    """A pipeline of one of the models, on the device, without text encoder."""
    family = {"wan": _wan, "cogvideox": _cogvideox}[pair.family]
    pipe = family(model, device, tiny)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def call_of(pair: Pair, size: tuple[int, int, int], device: str, tiny: bool) -> dict[str, Any]:
    """Arguments of the pipeline's call: random text embeddings, latents as the output."""
    height, width, frames = size
    tokens = 8 if tiny else pair.tokens
    generator = torch.Generator("cpu").manual_seed(0)
    text = torch.randn(2, tokens, 4096, generator=generator).to(device, dtype_of(device))
    return {
        "prompt_embeds": text[:1],
        "negative_prompt_embeds": text[1:],
        "height": height,
        "width": width,
        "num_frames": frames,
        "guidance_scale": 5.0,
        "output_type": "latent",
    }


def dtype_of(device: str) -> torch.dtype:
    """bfloat16 on a GPU; float32 on a CPU, where it is faster."""
    return torch.float32 if device == "cpu" else torch.bfloat16


def _random(kind: Any, device: str, **config: Any) -> Any:
    """A transformer whose weights are drawn on the device; vectors and scales as its class has."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype_of(device))
    try:
        with torch.device(device):
            torch.manual_seed(0)
            model = kind(**config)
    finally:
        torch.set_default_dtype(before)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=DEVIATION)
    return model.requires_grad_(False).eval()


def _wan(model: Model, device: str, tiny: bool) -> Any:
    config = {**model.config, **(TINY if tiny else {}), **({"ffn_dim": 64} if tiny else {})}
    vae = diffusers.AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    return diffusers.WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae.to(device),
        scheduler=diffusers.UniPCMultistepScheduler(**WAN_SCHEDULER),
        transformer=_random(diffusers.WanTransformer3DModel, device, **config),
    )


def _cogvideox(model: Model, device: str, tiny: bool) -> Any:
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        latent_channels=16,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=model.scale,
    )
    config = {**model.config, **({**TINY, "max_text_seq_length": 8} if tiny else {})}
    return diffusers.CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae.to(device),
        transformer=_random(diffusers.CogVideoXTransformer3DModel, device, **config),
        scheduler=diffusers.CogVideoXDDIMScheduler(snr_shift_scale=model.shift, **COG_SCHEDULER),
    )
