"""What the weights and the cached residuals need, against what is free here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sraccel.check.pipeline_outline import encoder_bytes
from sraccel.check.tokens import tokens_of, width_of
from sraccel.loop.finding import Finding
from sraccel.models.memory import free_bytes, weight_bytes
from sraccel.text import byte_size

if TYPE_CHECKING:
    import torch

    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe
    from sraccel.recipe.sampling import Sampling

ABOUT = "memory"
BRANCHES = 2
"""Of guidance; a cache keeps a residual of each."""


def check_memory(
    stack: Stack, recipe: Recipe, model: str, dtype: torch.dtype, device: torch.device
) -> Iterator[Finding]:
    """The weights of all models together, and what a cache keeps where that can be computed."""
    parts = dict(_weights(stack, recipe, dtype))
    encoders = encoder_bytes(model, dtype)
    parts |= {name: size for name, size in encoders.items() if size is not None}
    listed = ", ".join(f"{name} {byte_size(size)}" for name, size in parts.items())
    text = f"weights in {str(dtype).removeprefix('torch.')}: {listed}; "
    values = stack.skipping.keeps if stack.skipping.blocks else 0
    caching = values > 0
    one = _residual_of_a_branch(stack, dtype, recipe.sampling) if caching else None
    kept = None if one is None else values * one
    needed, in_words = _at_once(stack, parts, BRANCHES * (kept or 0), device)
    free = free_bytes(device)
    text += f"{in_words}, free on {device} {byte_size(free)}"
    if unknown := [name for name, size in encoders.items() if size is None]:
        text += f"; not known: {', '.join(unknown)}"
    if needed > free:
        swap = ", or `residency: swap`" if stack.contributions and not _swaps(stack) else ""
        advice = f"offload (--offload model), take a smaller dtype{swap}"
        yield Finding("warning", f"{text}. All at once do not fit: {advice}", ABOUT)
    else:
        yield Finding("note", f"{text}. Activations come on top: not estimated", ABOUT)
    if caching:
        yield _residuals(kept, values)


def _at_once(
    stack: Stack, parts: Mapping[str, int], cached: int, device: torch.device
) -> tuple[int, str]:
    """Bytes on the device at the same time, and what they are."""
    own_memory = device.type != "cpu"
    if own_memory and _gives(stack, "cache_device", "cpu"):
        cached = 0
    away = _smaller_side(stack, parts) if own_memory and _swaps(stack) else 0
    needed = sum(parts.values()) - away + cached
    how = "at once, as `residency: swap` has it," if away else "together"
    kept = " with what the cache keeps" if cached else ""
    return needed, f"{how} {byte_size(needed)}{kept}"


def _swaps(stack: Stack) -> bool:
    """Whether models that are brought take turns on the device with the pipeline's own."""
    return _gives(stack, "residency", "swap")


def _gives(stack: Stack, option: str, value: str) -> bool:
    options = [accelerator.options for accelerator in stack.accelerators]
    return any(getattr(one, option, None) == value for one in options)


def _smaller_side(stack: Stack, parts: Mapping[str, int]) -> int:
    """Bytes that are away while the larger of the two sides is on the device."""
    brought = sum(parts[role] for role in stack.denoisers if role in stack.contributions)
    own = sum(parts[role] for role in stack.denoisers if role not in stack.contributions)
    return min(brought, own)


def _weights(stack: Stack, recipe: Recipe, dtype: torch.dtype) -> Iterator[tuple[str, int]]:
    import torch

    own = _own_dtypes(stack, recipe)
    for role, denoiser in stack.denoisers.items():
        yield role, weight_bytes(denoiser.module, own.get(role, dtype))
    vae = getattr(stack.pipeline, "vae", None)
    if vae is not None:  # Wan's stays float32: see `load_pipeline`
        wan = type(stack.pipeline).__name__.startswith("Wan")
        yield "vae", weight_bytes(vae, torch.float32 if wan else dtype)


def _own_dtypes(stack: Stack, recipe: Recipe) -> dict[str, torch.dtype]:
    """Dtypes that the recipe gives the models that are brought, by role."""
    sources = [source for item in recipe.accelerators for source in item.models()]
    if len(sources) != len(stack.contributions):  # which is which is not known
        return {}
    given = zip(stack.contributions, (source.precision(None) for source in sources), strict=True)
    return {role: dtype for role, dtype in given if dtype is not None}


def _residual_of_a_branch(stack: Stack, dtype: torch.dtype, sampling: Sampling) -> int | None:
    """One residual, as large as the hidden states; of one model at a time. None: not known."""
    own = [one for role, one in stack.denoisers.items() if role not in stack.contributions]
    sizes = [_residual_bytes(one, stack.pipeline, dtype, sampling) for one in own]
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


def _residuals(kept: int | None, values: int) -> Finding:
    if kept is None:
        text = "cached residuals: not estimated (it takes height, width and num_frames in the "
        text += "recipe's `sampling`, and a Wan model); a run's report says what was kept"
        return Finding("note", text, ABOUT)
    text = (
        f"cached residuals: {byte_size(kept)} a guidance branch, so {byte_size(BRANCHES * kept)} "
    )
    text += "with guidance, for a batch of one"
    text += f" ({values} for the predictor)" if values > 1 else ""
    return Finding("note", text, ABOUT)


def _residual_bytes(
    denoiser: Denoiser, pipeline: Any, dtype: torch.dtype, sampling: Sampling
) -> int | None:
    """Size of a Wan model's hidden states for one video; None: not known."""
    tokens = tokens_of(denoiser, pipeline, sampling)
    return None if tokens is None else tokens * width_of(denoiser) * dtype.itemsize
