"""What makes one half of a run, without the weights that only the other half needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sraccel.composer import compose
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
    """A pipeline for `resume`, whose own denoisers have no weights; arguments as `load_pipeline`.

    Where the pipeline cannot do without (it is offloaded, or finds its device by its denoiser), the
    weights are loaded.
    """
    source = locate(name)
    where = {"revision": revision, "dtype": dtype, "device": device, "offload": offload}
    roles = _own_roles(source, revision) if offload == "none" else []
    if not roles:
        return load_pipeline(name, **where)  # type: ignore[arg-type]
    pipe: Any = load_pipeline(name, **where, without=roles)  # type: ignore[arg-type]
    precision = precision_of(dtype, device_of(device, offload))
    outlines = {role: _outline(name, revision, role, precision) for role in roles}
    pipe.register_modules(**outlines)
    if pipe.device.type == "meta":
        return load_pipeline(name, **where)  # type: ignore[arg-type]
    return pipe


def _own_roles(source: str, revision: str | None) -> list[str]:
    """The pipeline's attributes that hold denoisers, as its index says."""
    from diffusers import DiffusionPipeline

    loader: Any = DiffusionPipeline
    index = loader.load_config(source, **({} if revision is None else {"revision": revision}))
    return [role for role in ROLES if None not in (index.get(role) or [None])]


def _outline(name: str, revision: str | None, role: str, precision: torch.dtype) -> Any:
    from torch import nn

    module: Any = ModelSource(model=name, revision=revision, subfolder=role).outline()
    module.register_to_config(_name_or_path=locate(name))  # as loading it does
    return nn.Module.to(module, precision).eval()  # diffusers' own warns of what it rounds
