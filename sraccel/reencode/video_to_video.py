"""Having a pipeline go on with frames: its video-to-video form, and where it begins.

diffusers has, for many text-to-video pipelines, a second one that encodes a video, adds noise and
begins late, by its argument `strength`. It takes the same components, so making one costs nothing.
"""

from __future__ import annotations

import copy
import inspect
import math
from types import SimpleNamespace
from typing import Any

from sraccel.errors import LoopError, ModelError
from sraccel.noise.space import Levels, NoiseSpace, scheduled_levels

SIBLINGS = {
    "WanPipeline": "WanVideoToVideoPipeline",
    "CogVideoXPipeline": "CogVideoXVideoToVideoPipeline",
    "StableDiffusion3Pipeline": "StableDiffusion3Img2ImgPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLImg2ImgPipeline",
}
"""Pipelines that start from noise, and those of the same components that start from frames."""

PROCESSING = (
    "vae_scale_factor",
    "vae_scale_factor_spatial",
    "vae_scale_factor_temporal",
    "video_processor",
    "image_processor",
)
"""What a sibling must know of the VAE. diffusers' `WanVideoToVideoPipeline` works the spatial
factor out itself, from the VAE's stages, and so misses the patches of Wan 2.2's (16x, not 8x)."""

SAME_ANGLE = 1e-6
"""Noise levels this near, as `atan2(noise, signal)`, are one level."""


def arguments_of(pipe: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a pipeline's call."""
    return dict(inspect.signature(type(pipe).__call__).parameters)


def pixels_argument(pipe: Any) -> str | None:
    """The argument that takes frames to go on with; None: the pipeline starts from noise.

    Where there are no late starts (`get_timesteps`), or they have another name, `strength` means
    something else (LTX: of the conditioning).
    """
    known = arguments_of(pipe)
    if not hasattr(type(pipe), "get_timesteps") or "denoise_strength" in known:
        return None
    return next((name for name in ("video", "image") if {name, "strength"} <= known.keys()), None)


def pixels_for(pipe: Any, frames: Any) -> dict[str, Any]:
    """The arguments that hold the sketch's frames and their size."""
    argument = pixels_argument(pipe)
    assert argument is not None
    if argument == "image" and frames.shape[1] != 1:
        raise ModelError(
            f"{type(pipe).__name__} takes one image, and the sketch has {frames.shape[1]} frames"
        )
    size = dict(zip(("height", "width"), frames.shape[-2:], strict=True))
    known = arguments_of(pipe)
    return {
        argument: frames[:, 0] if argument == "image" else frames,
        **{name: value for name, value in size.items() if name in known},
    }


def video_to_video(pipe: Any) -> Any:
    """The pipeline itself if it takes frames and a strength, else its sibling that does.

    The sibling shares every component, placement and offloading hooks included.

    Raises:
        ModelError: there is none.
    """
    if pixels_argument(pipe) is not None:
        return pipe
    names = [SIBLINGS[base.__name__] for base in type(pipe).__mro__ if base.__name__ in SIBLINGS]
    if not names:
        raise ModelError(
            f"{type(pipe).__name__} cannot go on with a sketch: it takes no `video` (or `image`) "
            f"and `strength`, and no pipeline of diffusers that does shares its components (known: "
            f"{', '.join(SIBLINGS)})"
        )
    if getattr(pipe, "transformer_2", None) is not None:
        raise ModelError(
            f"{type(pipe).__name__} has two experts, of which {names[0]} would use one: give a "
            f"render pipeline with one transformer"
        )
    import diffusers

    cls = getattr(diffusers, names[0])
    given = {**pipe.config, **pipe.components}
    wanted = inspect.signature(cls.__init__).parameters
    sibling = cls(**{name: given[name] for name in wanted if name in given})
    for name in PROCESSING:
        if hasattr(pipe, name):
            setattr(sibling, name, getattr(pipe, name))
    sibling.set_progress_bar_config(**getattr(pipe, "_progress_bar_config", {}))
    return sibling


def schedule_of(pipe: Any, num_inference_steps: int) -> Any:
    """A copy of the pipeline's scheduler that has its timesteps; the pipeline's own stays as it is.

    Raises:
        ModelError: the scheduler needs more than the number of steps.
    """
    scheduler = copy.deepcopy(pipe.scheduler)
    try:
        scheduler.set_timesteps(num_inference_steps)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"the schedule of {type(pipe).__name__} does not follow from the number of steps "
            f"({error}): sraccel cannot tell where to begin in it"
        ) from error
    return scheduler


def first_step_at(scheduler: Any, space: NoiseSpace, levels: Levels, steps: int) -> int | None:
    """The first step of a schedule whose noise is not above these levels; None: there is none.

    Args:
        scheduler: with its timesteps set.
        space: what they mean.
        levels: signal and noise, of any schedule: their ratio is compared.
        steps: how many steps the schedule has.
    """
    wanted = math.atan2(levels[1], levels[0]) + SAME_ANGLE
    for step in range(steps):
        signal, noise = scheduled_levels(scheduler, space.schedule, step * _order(scheduler))
        if math.atan2(noise, signal) <= wanted:
            return step
    return None


def strength_for(pipe: Any, scheduler: Any, steps: int, first_step: int) -> float:
    """The strength with which a pipeline begins at this step; asks its own `get_timesteps`.

    Pipelines round differently, and `int(50 * (29 / 50))` is 28.

    Raises:
        LoopError: no strength gives this step.
    """
    exact, half = (steps - first_step) / steps, 0.5 / steps
    for strength in (exact, exact + half, exact - half):
        if 0 <= strength <= 1 and _begin(pipe, scheduler, steps, strength) == first_step:
            return strength
    raise LoopError(
        f"{type(pipe).__name__} begins at step {first_step} of {steps} with no `strength`"
    )


def _begin(pipe: Any, scheduler: Any, steps: int, strength: float) -> float:
    """The step of its schedule that a pipeline would begin with."""
    get_timesteps: Any = type(pipe).get_timesteps
    arguments = {
        "num_inference_steps": steps,
        "timesteps": scheduler.timesteps,
        "strength": strength,
        "device": scheduler.timesteps.device,
    }
    takes = inspect.signature(get_timesteps).parameters
    given = {name: value for name, value in arguments.items() if name in takes}
    # A stand-in: some set the scheduler's begin index here.
    stand_in = SimpleNamespace(scheduler=copy.copy(scheduler))
    timesteps, _ = get_timesteps(stand_in, **given)
    return (len(scheduler.timesteps) - len(timesteps)) / _order(scheduler)


def _order(scheduler: Any) -> int:
    return int(getattr(scheduler, "order", 1))


def planned_size(pipe: Any, call: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Frames, height and width that a call will make; None where only the pipeline knows."""
    known = arguments_of(pipe)
    height, width, frames = (
        call.get(name) or (known[name].default if name in known else None)
        for name in ("height", "width", "num_frames")
    )
    if "num_frames" not in known:
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
