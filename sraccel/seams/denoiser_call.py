"""The call seam: every call of a denoiser becomes a `Call` of the open step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sraccel.intercept import CALL, Interception

if TYPE_CHECKING:
    import torch

    from sraccel.call import Call
    from sraccel.denoiser import Denoiser
    from sraccel.stack import Stack


class DenoiserCallSeam:
    """Stands in front of one denoiser that the loop calls, and routes its calls.

    Attributes:
        context: name that the pipeline gave the call by `cache_context`, while one is open.
    """

    def __init__(self, stack: Stack, denoiser: Denoiser) -> None:
        self._stack = stack
        self._denoiser = denoiser
        self.context: str | None = None

    def install(self) -> list[Interception]:
        """Put the layers in place."""
        module = self._denoiser.module
        placed = [Interception(module, CALL, self._layer)]
        if hasattr(module, "cache_context"):
            placed.append(Interception(module, "cache_context", self._context_layer))
        return placed

    @contextmanager
    def _context_layer(self, inner: Any, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with inner(name, *args, **kwargs) as value:
            self.context = name
            try:
                yield value
            finally:
                self.context = None

    def _layer(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        located = self._stack.locate(self._denoiser, self.context, args, kwargs)
        if located is None:
            return inner(*args, **kwargs)
        step, branch = located
        call = step.open_call(self._denoiser, branch, model_input(args, kwargs))
        blocks = self._stack.block_seam(call.denoiser)
        clock = step.run.clock
        started = clock.mark()
        if blocks is not None:
            blocks.begin(call)
        try:
            if call.denoiser is self._denoiser:
                output = inner(*args, **kwargs)
            else:
                output = _call_sibling(call, args, kwargs)
        finally:
            if blocks is not None:
                blocks.end()
        if blocks is not None:
            blocks.check_reached()
        call.marks = (started, clock.mark())
        call.release()
        return output


def model_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The noisy latents among a denoiser's arguments."""
    tensor: torch.Tensor = (
        args[0] if args else kwargs["hidden_states" if "hidden_states" in kwargs else "sample"]
    )
    return tensor


def _call_sibling(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call another denoiser than the loop asked for, in its dtype and on its device."""
    module: Any = call.denoiser.module
    parameter = next(module.parameters())
    device, dtype = parameter.device, getattr(module, "dtype", parameter.dtype)
    context = getattr(module, "cache_context", None)
    with context(call.branch) if context is not None else nullcontext():
        output = module(
            *(_moved(value, device, dtype) for value in args),
            **{
                # A timestep in half precision would be another timestep.
                name: _moved(value, device, None if name == "timestep" else dtype)
                for name, value in kwargs.items()
            },
        )
    return _as_requested(output, call.model_input)


def _moved(value: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device, dtype if value.is_floating_point() else None)


def _as_requested(output: Any, like: torch.Tensor) -> Any:
    """The output on the device and in the dtype that the loop works in."""
    prediction = output[0]
    if prediction.device == like.device and prediction.dtype == like.dtype:
        return output
    prediction = prediction.to(like.device, like.dtype)
    if isinstance(output, tuple):
        return (prediction, *output[1:])
    return type(output)(sample=prediction)
