"""Which of a hand-off's arguments the render pipeline gets, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sraccel.errors import ModelError
from sraccel.models.arguments import arguments_of, check_arguments, defaults_of

SKETCH_ONLY = {"latents", "height", "width", "num_frames", "guidance_scale_2"}
"""Arguments that the render pipeline does not get: the frames stand for them, or it has no use."""
REFUSED = {
    "timesteps": "give num_inference_steps",
    "sigmas": "give num_inference_steps",
    "num_videos_per_prompt": "repeat the prompt",
    "num_images_per_prompt": "repeat the prompt",
}
"""Arguments that a hand-off has no use for, unless they are None or 1, and what to do instead."""


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
