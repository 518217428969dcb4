"""A pipeline whose denoisers have random weights, and the arguments to call it with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.demo.pair import DEMO
from sraccel.errors import ModelError
from sraccel.loop.denoiser import denoisers_in
from sraccel.models.arguments import check_arguments
from sraccel.models.loading import locate
from sraccel.prediction.conditions import EMBEDS, conditions_of, prompt_length
from sraccel.prediction.random_weights import Blocks, shortened, with_random_weights

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sraccel.loop.stack import Stack

FRAMES = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio")
"""What pipelines call the number of frames that become one latent frame."""


class WithoutWeights:
    """Stands for a part of which the pipeline reads nothing but facts: its VAE.

    It is no module, so that a pipeline does not take the meta device for its own.
    """

    def __init__(self, outline: nn.Module) -> None:
        self._outline = outline

    def __getattr__(self, name: str) -> Any:
        if name == "_outline":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._outline, name)


def build_pipeline(
    folder: str, outline: Any, blocks: Blocks, dtype: torch.dtype, device: torch.device
) -> Any:
    """The pipeline of a folder, without encoders; its own denoisers get random weights.

    Args:
        folder: with configurations in diffusers' format, or `demo`.
        outline: the same pipeline without weights.
        blocks: how many blocks are built.
        dtype: of the weights.
        device: where they are.

    Raises:
        ModelError: diffusers has no such pipeline.
    """
    denoisers = {
        name: with_random_weights(shortened(module, blocks), dtype, device)
        for name, module in denoisers_in(outline).items()
    }
    index = _index(folder)
    vae = None if outline.vae is None else WithoutWeights(outline.vae)
    parts = {**index, **denoisers, "scheduler": outline.scheduler, "vae": vae}
    kind = _pipeline_class(folder, str(index.get("_class_name")))
    wanted = list(inspect.signature(kind.__init__).parameters.values())[1:]
    given = {
        one.name: _part(parts.get(one.name)) if one.name in parts else None
        for one in wanted
        if one.name in parts or one.default is inspect.Parameter.empty
    }
    pipe = kind(**given)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pipeline_name(folder: str) -> str:
    """The class of a folder's pipeline."""
    return str(_index(folder).get("_class_name"))


def _index(folder: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(locate(folder), "model_index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: cannot read model_index.json: {error}", model=folder) from None
    return found if isinstance(found, dict) else {}


def _part(value: Any) -> Any:
    """A component that is listed as `[library, class]` is left out; settings stay."""
    return None if isinstance(value, list) else value


def _pipeline_class(folder: str, name: str) -> Any:
    import diffusers

    if folder == DEMO:
        from sraccel.demo.pipeline import DemoPipeline

        return DemoPipeline
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise ModelError(f"{folder}: diffusers has no pipeline class {name!r}", model=folder)
    return kind


def call_arguments(
    pipe: Any, folder: str, stack: Stack, given: Mapping[str, Any], dtype: torch.dtype
) -> dict[str, Any]:
    """The pipeline's arguments for a call that makes latents of no prompt.

    Args:
        pipe: from `build_pipeline`.
        folder: where it came from.
        stack: of the same pipeline.
        given: size, steps and guidance, where they are given.
        dtype: of the embeddings.

    Raises:
        ModelError: the pipeline does not know an argument, or a size does not divide.
    """
    conditions = conditions_of(pipeline_name(folder))
    check_size(given, conditions.divisor, _frames_in_one(pipe))
    wanted = {**given}
    length = prompt_length(locate(folder), conditions, wanted.pop("max_sequence_length", None))
    wanted.pop("negative_prompt", None)
    prompt = conditions.arguments(stack.own.config, length, dtype, pipe.device)
    arguments = {**prompt, **wanted, "output_type": "latent"}
    check_arguments(pipe, arguments)
    return arguments


def check_size(given: Mapping[str, Any], divisor: int, frames_in_one: int) -> None:
    """Refuse a size that does not divide.

    Args:
        given: arguments of the call.
        divisor: what height and width must be multiples of.
        frames_in_one: frames of a latent frame, but for the first one, which stands for one.

    Raises:
        ModelError: naming the nearest size that does.
    """
    for name in ("height", "width"):
        value = given.get(name)
        if value is not None and value % divisor:
            low = value - value % divisor
            near = f"{low} or {low + divisor}" if low else str(divisor)
            raise ModelError(f"{name} {value} is no multiple of {divisor}: take {near}")
    frames = given.get("num_frames")
    if frames is not None and (frames - 1) % frames_in_one:
        low = frames - (frames - 1) % frames_in_one
        raise ModelError(
            f"{frames} frames do not divide: take {low} or {low + frames_in_one} "
            f"(a multiple of {frames_in_one}, and one)"
        )


def _frames_in_one(pipe: Any) -> int:
    return next((int(getattr(pipe, name)) for name in FRAMES if hasattr(pipe, name)), 1)


def described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say how large a video is and how it is sampled, for a report."""
    plain = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    return {**plain, "prompt_tokens": arguments[EMBEDS].shape[1]}


@contextmanager
def refused_sizes(name: str) -> Iterator[None]:
    """Turn what a pipeline raises of its arguments into an error that names the model.

    Raises:
        ModelError: the pipeline raised.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ModelError(f"{name} cannot be called so: {error}", model=name) from error
