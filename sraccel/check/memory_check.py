"""What the weights and the cached residuals need, against what is free here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sraccel.check.finding import Finding
from sraccel.check.pipeline_outline import encoder_bytes
from sraccel.free_memory import GIB, free_bytes, weight_bytes

if TYPE_CHECKING:
    import torch

    from sraccel.denoiser import Denoiser
    from sraccel.sampling import Sampling
    from sraccel.stack import Stack

ABOUT = "memory"
SPATIAL, TEMPORAL = "scale_factor_spatial", "scale_factor_temporal"


def check_memory(
    stack: Stack, model: str, dtype: torch.dtype, device: torch.device, sampling: Sampling
) -> Iterator[Finding]:
    """The weights of all models together, and what a cache keeps where that can be computed."""
    parts = dict(_weights(stack, dtype))
    encoders = encoder_bytes(model, dtype)
    parts |= {name: size for name, size in encoders.items() if size is not None}
    total, free = sum(parts.values()), free_bytes(device)
    listed = ", ".join(f"{name} {_gib(size)}" for name, size in parts.items())
    name = str(dtype).removeprefix("torch.")
    text = f"weights in {name}: {listed}; together {_gib(total)}, free on {device} {_gib(free)}"
    unknown = [name for name, size in encoders.items() if size is None]
    if unknown:
        text += f"; not known: {', '.join(unknown)}"
    if total > free:
        swap = ", or `residency: swap`" if stack.contributions else ""
        advice = f"offload (--offload model), take a smaller dtype{swap}"
        yield Finding("warning", f"{text}. All at once do not fit: {advice}", ABOUT)
    else:
        yield Finding("note", f"{text}. Activations come on top: not estimated", ABOUT)
    if stack.hooks.who("reuse_residual"):
        yield _residuals(stack, dtype, sampling)


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"


def _weights(stack: Stack, dtype: torch.dtype) -> Iterator[tuple[str, int]]:
    import torch

    for role, denoiser in stack.denoisers.items():
        yield role, weight_bytes(denoiser.module, dtype)
    vae = getattr(stack.pipeline, "vae", None)
    if vae is not None:  # Wan's stays float32: see `load_pipeline`
        wan = type(stack.pipeline).__name__.startswith("Wan")
        yield "vae", weight_bytes(vae, torch.float32 if wan else dtype)


def _residuals(stack: Stack, dtype: torch.dtype, sampling: Sampling) -> Finding:
    """One residual a guidance branch, as large as the hidden states; of one model at a time."""
    sketches = [one for role, one in stack.denoisers.items() if role not in stack.contributions]
    sizes = [residual_bytes(one, stack.pipeline, dtype, sampling) for one in sketches]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        text = "cached residuals: not estimated (it takes height, width and num_frames in the "
        text += "recipe's `sampling`, and a Wan model); a run's report says what was kept"
        return Finding("note", text, ABOUT)
    largest = max(known)
    text = f"cached residuals: {_gib(largest)} a guidance branch, so {_gib(2 * largest)} "
    text += "with guidance, for a batch of one"
    return Finding("note", text, ABOUT)


def residual_bytes(
    denoiser: Denoiser, pipeline: Any, dtype: torch.dtype, sampling: Sampling
) -> int | None:
    """Size of a Wan model's hidden states for one video; None: not known."""
    size = (sampling.num_frames, sampling.height, sampling.width)
    vae = getattr(getattr(pipeline, "vae", None), "config", {})
    config = denoiser.config
    known = all(key in vae for key in (SPATIAL, TEMPORAL)) and "patch_size" in config
    if denoiser.family != "wan" or None in size or not known:
        return None
    frames, height, width = (int(number or 0) for number in size)
    scales = (vae[TEMPORAL], vae[SPATIAL], vae[SPATIAL])
    latent = ((frames - 1) // scales[0] + 1, height // scales[1], width // scales[2])
    tokens = math.prod(
        length // patch for length, patch in zip(latent, config["patch_size"], strict=True)
    )
    width_of_a_token = config["num_attention_heads"] * config["attention_head_dim"]
    return int(tokens * width_of_a_token * dtype.itemsize)
