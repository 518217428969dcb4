"""A call with which a pipeline goes on with frames: its video-to-video form, and its arguments.

diffusers has, for many text-to-video pipelines, a second one that encodes a video, adds noise and
begins late, by its argument `strength`. It takes the same components, so making one costs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sraccel.errors import ModelError
from sraccel.models.arguments import arguments_of, check_arguments, defaults_of

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
SKETCH_ONLY = {"latents", "height", "width", "num_frames", "guidance_scale_2"}
"""Arguments that the render pipeline does not get: the frames stand for them, or it has no use."""
REFUSED = {
    "timesteps": "give num_inference_steps",
    "sigmas": "give num_inference_steps",
    "num_videos_per_prompt": "repeat the prompt",
    "num_images_per_prompt": "repeat the prompt",
}
"""Arguments that a hand-off has no use for, unless they are None or 1, and what to do instead."""


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
    return _sibling(pipe, names[0])


def _sibling(pipe: Any, name: str) -> Any:
    """A pipeline of this class of diffusers, of the same components."""
    import diffusers

    cls = getattr(diffusers, name)
    given = {**pipe.config, **pipe.components}
    wanted = inspect.signature(cls.__init__).parameters
    sibling = cls(**{name: given[name] for name in wanted if name in given})
    for name in PROCESSING:
        if hasattr(pipe, name):
            setattr(sibling, name, getattr(pipe, name))
    sibling.set_progress_bar_config(**getattr(pipe, "_progress_bar_config", {}))
    return sibling


def pixels_argument(pipe: Any) -> str | None:
    """The argument that takes frames to go on with; None: the pipeline starts from noise.

    Where there are no late starts (`get_timesteps`), or they have another name, `strength` means
    something else (LTX: of the conditioning).
    """
    known = arguments_of(pipe)
    if not hasattr(type(pipe), "get_timesteps") or "denoise_strength" in known:
        return None
    return next((name for name in ("video", "image") if {name, "strength"} <= known.keys()), None)


def render_arguments(pipe: Any, renderer: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    """The render pipeline's arguments, but for the frames and the strength.

    Args:
        pipe: the pipeline that was given, whose defaults count.
        renderer: the one that is called: itself, or the sibling that takes frames.
        call: the sketch pipeline's arguments, and what the render pipeline gets instead.

    Raises:
        ModelError: it does not know one of them, or a hand-off has no use for it.
    """
    for refused, instead in REFUSED.items():
        value = call.get(refused)
        if value is not None and not (isinstance(value, int) and value == 1):
            raise ModelError(f"a hand-off between pipelines takes no {refused}: {instead}")
    known = arguments_of(renderer).keys() - SKETCH_ONLY
    given = {
        name: value
        for name, value in call.items()
        if name not in SKETCH_ONLY and (name in known or value is not None)
    }
    unknown = sorted(given.keys() - known)
    nothing = ", ".join(f"{name!r}: None" for name in unknown)
    advice = f"leave it out, or out of this pipeline's call alone: render_call={{{nothing}}}"
    check_arguments(renderer, given, unknown=advice)
    own = {name: value for name, value in defaults_of(pipe).items() if name in known}
    return {**own, **given}


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
