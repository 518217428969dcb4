"""The render model: found, checked against the pipeline, loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.srdiffusion.lora import check_lora
from sraccel.accelerators.srdiffusion.options import SRDiffusionOptions
from sraccel.accelerators.srdiffusion.residency import is_managed, offload_hook
from sraccel.plugin import (
    ConflictError,
    Contribution,
    ModelError,
    ModelSource,
    NoiseSpace,
    Placement,
    Stack,
    check_partners,
    check_room,
    config_of,
    denoisers_in,
    noise_space_of,
    recognise,
    weight_bytes,
)

if TYPE_CHECKING:
    from torch import nn

RENDER = "render"
MEMORY_ADVICE = (
    "choose `residency: swap`, a smaller `dtype` or a `quantization_config` for the render model, "
    "or offload the pipeline"
)


def bring_render_model(
    options: SRDiffusionOptions, stack: Stack, placement: Placement | None
) -> Contribution:
    """The render model of a stack; everything that can be is checked before it is loaded.

    Raises:
        ConflictError: the recipe asks for a hand-off that one loop cannot do.
        ModelError: the model is missing, does not fit the pipeline, or does not fit into memory.
    """
    if options.handoff == "reencode":
        raise ConflictError(
            "srdiffusion: `handoff: reencode` takes two pipelines: call "
            "sraccel.handoff(sketch_pipe, render_pipe, recipe, ...), or `sraccel generate`"
        )
    found = _Found.of(options.render)
    _check_schedulers(stack, found)
    space = found.noise_space()
    own = stack.own
    if found.module is own.module:
        raise ModelError("srdiffusion: the render model is the pipeline's own model")
    check_partners(
        own,
        recognise(RENDER, found.module, stack.adapters, noise_space=space),
        config_of(stack.pipeline.vae) if getattr(stack.pipeline, "vae", None) else None,
        found.vae_config,
    )
    check_lora(stack, found.module, options.render_lora)
    _check_own_module(options)
    _check_movable(options, stack, found.module)
    by_name = isinstance(options.render, ModelSource)
    module = _load(options.render, found.module, options, stack) if by_name else found.module
    return Contribution(module, space, placement)


@dataclass(frozen=True)
class _Found:
    """A render model, perhaps without weights yet, and what came along with it."""

    module: nn.Module
    vae_config: dict[str, Any] | None = None
    scheduler: Any = None

    @classmethod
    def of(cls, render: Any) -> _Found:
        if isinstance(render, ModelSource):
            return cls(render.outline(), render.vae_config(), render.scheduler())
        if not hasattr(render, "scheduler"):
            return cls(render)
        module = next(iter(denoisers_in(render).values()), None)
        if module is None:
            raise ModelError(f"srdiffusion: {type(render).__name__} has no denoiser")
        vae = getattr(render, "vae", None)
        return cls(module, config_of(vae) if vae is not None else None, render.scheduler)

    def noise_space(self) -> NoiseSpace | None:
        """None: that of the pipeline's model is taken."""
        if self.scheduler is None:
            return None
        return noise_space_of(self.scheduler, self.vae_config)


def _check_own_module(options: SRDiffusionOptions) -> None:
    """Refuse to change a model that is the user's, not ours."""
    lora = options.render_lora
    if lora is not None and lora.wanted and not isinstance(options.render, ModelSource):
        raise ModelError(
            "srdiffusion: `render_lora` goes with a render model that is given by name; load it "
            "into your module yourself, and leave `render_lora` out"
        )


def _check_movable(options: SRDiffusionOptions, stack: Stack, render: nn.Module) -> None:
    """Refuse a residency that would move what cannot be moved, or what others move."""
    if options.residency == "both":
        return
    moved = [render, *(denoiser.module for denoiser in stack.denoisers.values())]
    if any(getattr(module, "hf_quantizer", None) is not None for module in moved):
        raise ConflictError(
            f"srdiffusion: `residency: {options.residency}` moves weights, and quantised ones stay "
            f"where they were loaded: leave it out"
        )
    if is_managed(render):
        raise ConflictError(
            f"srdiffusion: `residency: {options.residency}` would move a render model that "
            f"accelerate or diffusers offloads already: leave out one of the two"
        )


def _check_schedulers(stack: Stack, found: _Found) -> None:
    """Refuse a scheduler of an unknown process, unless the pipeline has the very same."""
    scheduler, own = found.scheduler, getattr(stack.pipeline, "scheduler", None)
    known = {found.noise_space() is not None, stack.own.noise_space is not None}
    if scheduler is None or own is None or known == {True}:
        return
    if type(own) is not type(scheduler) or dict(own.config) != dict(scheduler.config):
        raise ModelError(
            f"srdiffusion: the render model comes with a {type(scheduler).__name__}, the pipeline "
            f"has a {type(own).__name__} or another configuration of it, and how their noise "
            f"levels compare is not known"
        )


def _load(
    source: ModelSource, outline: nn.Module, options: SRDiffusionOptions, stack: Stack
) -> nn.Module:
    """The render model's weights, and its LoRA; one that has a LoRA is not shared."""
    lora = options.render_lora
    shared = lora is None or not lora.wanted
    like = getattr(stack.own.module, "dtype", None)
    if source.quantization_config is None:
        found = source.loaded(like) if shared else None
        needed = weight_bytes(outline, source.precision(like))
        if found is None:
            _check_room(source, needed)
        if found is None or next(found.parameters()).device != stack.device:
            _check_room_on_device(source, needed, options, stack)
    module = source.load(like, shared=shared)
    if lora is not None and lora.wanted:
        lora.load_into(module, stack.pipeline)
    return module


def _check_room(source: ModelSource, needed: int) -> None:
    import torch

    what = f"the render model ({source})"
    check_room(needed, torch.device("cpu"), what, "free some memory, or choose a smaller `dtype`")


def _check_room_on_device(
    source: ModelSource, needed: int, options: SRDiffusionOptions, stack: Stack
) -> None:
    what, device = f"the render model ({source})", stack.device
    if device.type != "cuda":
        return
    sketch = stack.own.module
    there = next(sketch.parameters()).device == device
    if options.residency == "swap":
        needed -= weight_bytes(sketch) if there else 0
    elif (not there and not is_managed(sketch)) or offload_hook(sketch, stack.pipeline) is not None:
        # Not there yet, but both will meet on the device.
        needed += weight_bytes(sketch)
        what += " beside the pipeline's model"
    check_room(needed, device, what, MEMORY_ADVICE)
