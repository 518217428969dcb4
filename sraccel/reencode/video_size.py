"""Which sizes of video a pipeline makes, and which it can take."""

from __future__ import annotations

from typing import Any

from sraccel.errors import ModelError
from sraccel.models.arguments import defaults_of


def planned_size(pipe: Any, call: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Frames, height and width that a call will make; None where only the pipeline knows."""
    own = defaults_of(pipe)
    height, width, frames = (
        call.get(name) or own.get(name) for name in ("height", "width", "num_frames")
    )
    if "num_frames" not in own:
        return 1, height, width
    if frames is None:
        return None, height, width
    temporal = getattr(pipe, "vae_scale_factor_temporal", 1)
    if temporal > 1 and (frames - 1) % temporal == 0:
        return frames, height, width
    wan = any(base.__name__ == "WanPipeline" for base in type(pipe).__mro__)
    return (frames // temporal * temporal + 1 if wan else None), height, width


def check_size(pipe: Any, frames: int | None, height: int | None, width: int | None) -> None:
    """Refuse videos that a pipeline's VAE and patches cannot take whole; None: not known yet.

    Raises:
        ModelError: what does not fit, and the nearest sizes that do.
    """
    patch_frames, patch = _patch(pipe)
    spatial = getattr(pipe, "vae_scale_factor_spatial", getattr(pipe, "vae_scale_factor", 1))
    temporal = getattr(pipe, "vae_scale_factor_temporal", 1)
    problems = []
    for name, size in (("height", height), ("width", width)):
        if size is not None and size % (spatial * patch):
            low = size // (spatial * patch) * spatial * patch
            problems.append(f"{name} {size} ({_possible(low, low + spatial * patch)})")
    if frames is not None and (
        (frames - 1) % temporal or (frames - 1) // temporal % patch_frames != (patch_frames - 1)
    ):
        problems.append(_frames_problem(frames, temporal, patch_frames))
    if problems:
        raise ModelError(
            f"the render pipeline ({type(pipe).__name__}) cannot take the sketch's "
            f"{' and '.join(problems)}: its VAE compresses {spatial}x in space and {temporal}x in "
            f"time, and its patches hold {patch_frames} x {patch} x {patch}"
        )


def _frames_problem(frames: int, temporal: int, patch_frames: int) -> str:
    unit = temporal * patch_frames
    low = (frames - 1) // unit * unit + (patch_frames - 1) * temporal + 1
    low = low if low <= frames else low - unit
    return f"{frames} frames ({_possible(low, low + unit)})"


def _possible(*sizes: int) -> str:
    return f"possible: {', '.join(str(size) for size in sizes if size > 0)}"


def _patch(pipe: Any) -> tuple[int, int]:
    """Latent frames and pixels to a side that one token covers."""
    config = getattr(getattr(pipe, "transformer", None), "config", {})
    patch = config.get("patch_size") or 1
    if isinstance(patch, int):
        return 1, patch
    return int(patch[0]), int(patch[-1])
