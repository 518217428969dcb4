"""Calling another denoiser than the loop asked for, as if it were that one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError
from sraccel.loop.denoiser_adapter import named
from sraccel.loop.seams.batch import joined, parted
from sraccel.noise.change_of_variables import Exchange, exchange

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Denoiser


TIMES = ("timestep", "sigma")
"""How names of arguments end that hold a time, some of them a second one (`audio_timestep`)."""


def call_sibling(
    call: Call, requested: Denoiser, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Answer a call with another model of the family, in the requested model's own terms.

    The arguments go to the answering model's device and dtype, and through the change of variables
    where its noise space is another one; the prediction comes back the same way.

    Raises:
        LoopError: the change of variables is not defined for this call.
    """
    denoiser = call.denoiser
    module: Any = denoiser.module
    arguments = named(requested.module, args, kwargs)
    call.exchange = change = _change_of_variables(call, requested, arguments)
    if change is not None:
        latents, timestep = denoiser.adapter.latents, denoiser.adapter.timestep
        noisy = change.model_input(call.model_input)
        arguments[latents] = parted(noisy, arguments[latents])
        arguments[timestep] = _timestep_like(
            arguments[timestep], change, denoiser, call.model_input
        )
    arguments = denoiser.adapter.sibling_arguments(module, arguments)
    arguments = _moved(arguments, denoiser, call.model_input)
    context = getattr(module, "cache_context", None)
    with context(call.branch) if context is not None else nullcontext():
        output = module(**arguments)
    # In one precision, under autocast too, both models answer in the same one.
    alike = _dtype(module) == _dtype(requested.module)
    return _as_requested(
        output, call.model_input, change, None if alike else call.model_input.dtype
    )


def _change_of_variables(
    call: Call, requested: Denoiser, arguments: Mapping[str, Any]
) -> Exchange | None:
    ours, theirs = requested.noise_space, call.denoiser.noise_space
    if ours is None or theirs is None or ours == theirs:
        return None
    timestep, given = call.step.timestep, arguments[requested.adapter.timestep]
    if getattr(given, "ndim", 0) > 1:
        raise LoopError(
            "the hand-off between these models changes the noise level, which is not defined where "
            "every token has its own timestep"
        )
    if timestep is None:
        value = given if isinstance(given, (int, float)) else given.flatten()[0]
        timestep = requested.adapter.loop_timestep(float(value))
    return exchange(ours, theirs, timestep)


def _timestep_like(given: Any, change: Exchange, denoiser: Denoiser, noisy: torch.Tensor) -> Any:
    """The answering model's timestep in the shape of the given one; continuous, so no integer."""
    import torch

    timestep = denoiser.adapter.model_timestep(change.timestep)
    if not isinstance(given, torch.Tensor):
        return timestep
    precision = torch.promote_types(noisy.dtype, torch.float32)
    return torch.full(given.shape, timestep, dtype=precision, device=given.device)


def _moved(arguments: dict[str, Any], denoiser: Denoiser, noisy: torch.Tensor) -> dict[str, Any]:
    """The arguments for a model on another device, perhaps of another precision.

    Only tensors in the precision of the loop are cast: what is more precise on purpose (rotary
    embeddings, coordinates, timesteps) stays so.
    """
    module, timestep = denoiser.module, denoiser.adapter.timestep
    parameter = next(module.parameters())
    offloaded = parameter.is_meta  # sequentially: its hooks bring weights to the loop's device
    device = noisy.device if offloaded else parameter.device
    dtype = _dtype(module)

    def moved(value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            return value.to(device, dtype if value.dtype == noisy.dtype else None)
        if isinstance(value, dict):
            return {key: moved(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return type(value)(moved(item) for item in value)
        return value

    def is_time(name: str, value: Any) -> bool:
        return hasattr(value, "to") and (name == timestep or name.endswith(TIMES))

    # A timestep in half precision would be another timestep.
    return {
        name: value.to(device) if is_time(name, value) else moved(value)
        for name, value in arguments.items()
    }


def _dtype(module: Any) -> torch.dtype:
    dtype: torch.dtype = getattr(module, "dtype", None) or next(module.parameters()).dtype
    return dtype


def _as_requested(
    output: Any, noisy: torch.Tensor, change: Exchange | None, dtype: torch.dtype | None
) -> Any:
    """The prediction in the requested model's terms, on the device of the loop.

    Args:
        output: of the answering model: a tensor, a tuple or a `ModelOutput` of tensors, or one that
            a list of tensors leads (Z-Image: one for each of a batch).
        noisy: what the loop gave.
        change: of variables, if the noise spaces differ; of the first tensor.
        dtype: that the prediction is to have; None: its own.
    """
    import torch

    def placed(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(placed(item) for item in value)
        return value.to(noisy.device, dtype) if isinstance(value, torch.Tensor) else value

    def changed(prediction: Any) -> Any:
        if change is None:
            return prediction
        own = joined(prediction)
        return parted(change.prediction(noisy, own.to(noisy.device)).to(own.dtype), prediction)

    if isinstance(output, torch.Tensor):
        return placed(changed(output))
    first, *others = output if isinstance(output, tuple) else output.to_tuple()
    parts = (changed(first), *others)
    if isinstance(output, tuple):
        return placed(parts)
    return type(output)(**dict(zip(output, map(placed, parts), strict=True)))
