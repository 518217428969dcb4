"""What makes one half of a run, without the weights that only the other half needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sraccel.composer import compose
from sraccel.handover.encoded_prompt import METHOD
from sraccel.loop.denoiser import ROLES
from sraccel.models.loading import (
    Device,
    DType,
    Offload,
    device_of,
    load_pipeline,
    locate,
    precision_of,
)
from sraccel.models.source import ModelSource
from sraccel.recipe.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from sraccel.loop.accelerator import AcceleratorOptions
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.stack import Stack

ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
"""What diffusers' pipelines call theirs."""


def sketch_stack(pipe: Any, recipe: Any, *, adapters: Sequence[DenoiserAdapter] = ()) -> Stack:
    """A stack for `until_switch`: what accelerators bring by name is there without weights.

    Errors as `sraccel.compose`.
    """
    recipe = Recipe.load(recipe)
    halves = [_without_weights(item) for item in recipe.accelerators]
    stack = compose(pipe, [item.accelerator(item) for item in halves], adapters=adapters)
    stack.recipe = recipe  # as it is for the other half, which has the weights
    return stack


def _without_weights(item: AcceleratorOptions) -> AcceleratorOptions:
    outlined = item.without_weights() if item.models() else item
    if outlined is None:
        return item
    stays = outlined.models() != item.models() and "residency" in type(item).model_fields
    return outlined.model_copy(update={"residency": "both"}) if stays else outlined


def load_render_pipeline(
    name: str,
    *,
    revision: str | None = None,
    dtype: DType = "auto",
    device: Device = "auto",
    offload: Offload = "none",
) -> Any:
    """A pipeline for `resume`: its own denoisers have no weights, and it has no text encoders.

    Arguments as `load_pipeline`. Where it is offloaded, the denoisers' weights are loaded.
    """
    index = _index(locate(name), revision)
    roles = _there(index, ROLES) if offload == "none" else []
    encoders = _there(index, ENCODERS) if _encodes_by_method(index) else []
    pipe: Any = load_pipeline(
        name,
        revision=revision,
        dtype=dtype,
        device=device,
        offload=offload,
        without=[*roles, *encoders],
    )
    target = device_of(device, offload)
    precision = precision_of(dtype, target)
    outlines = {role: _outline(name, revision, role, precision, target) for role in roles}
    pipe.register_modules(**outlines)
    return pipe


def _index(source: str, revision: str | None) -> dict[str, Any]:
    """What the pipeline consists of, as its index says."""
    from diffusers import DiffusionPipeline

    loader: Any = DiffusionPipeline
    found: dict[str, Any] = loader.load_config(
        source, **({} if revision is None else {"revision": revision})
    )
    return found


def _there(index: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Those of some components that the pipeline has."""
    return [name for name in names if None not in (index.get(name) or [None])]


def _encodes_by_method(index: dict[str, Any]) -> bool:
    """Whether a hand-over has what the encoders say."""
    import diffusers

    return hasattr(getattr(diffusers, str(index.get("_class_name")), None), METHOD)


def _outline(
    name: str, revision: str | None, role: str, precision: torch.dtype, target: str
) -> Any:
    from torch import nn

    module: Any = ModelSource(model=name, revision=revision, subfolder=role).outline()
    module.register_to_config(_name_or_path=locate(name))  # as loading it does
    nn.Module.to(module, precision)  # diffusers' own warns of what it rounds
    return _said_to_be_on(target, module.eval())


def _said_to_be_on(device: str, outline: Any) -> Any:
    """The outline, of a class that names a device: that of a pipeline is its first model's.

    On the meta device, where an outline is, it would make no noise.
    """
    import torch

    kind = type(outline)
    where = {"device": torch.empty(0, device=device).device, "__module__": kind.__module__}
    outline.__class__ = type(kind.__name__, (kind,), where)
    return outline
