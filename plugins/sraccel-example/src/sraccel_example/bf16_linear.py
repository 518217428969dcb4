"""An accelerator that changes the denoisers: a template for kernels and precisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Accelerator, AcceleratorOptions, Denoiser, Run, hookimpl

if TYPE_CHECKING:
    import torch
    from torch import nn


class Bf16Linear(Accelerator):
    """Computes the blocks' float32 linear layers in bfloat16; the rest keeps its precision."""

    name = "bf16-linear"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self._layers: dict[str, int] = {}

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        layers = list(plain_layers(denoiser))
        self._layers[denoiser.role] = len(layers)
        try:
            for layer in layers:
                vars(layer)["forward"] = Bf16Forward(layer)
            yield
        finally:
            for layer in layers:
                vars(layer).pop("forward", None)

    @hookimpl
    def run_started(self, run: Run) -> None:
        run.note(self, layers=dict(self._layers))
        for role in (role for role, number in self._layers.items() if not number):
            run.warn(
                f"bf16-linear does nothing for the denoiser {role!r}: its blocks have no linear "
                f"layers in float32 that nothing else has replaced"
            )


def plain_layers(denoiser: Denoiser) -> Iterator[nn.Linear]:
    """Linear layers of the blocks in float32; none that is quantised or offloaded by itself."""
    from torch import nn

    for block in denoiser.adapter.blocks(denoiser.module):
        for layer in block.modules():
            if type(layer) is nn.Linear and is_plain(layer):
                yield layer


def is_plain(layer: nn.Linear) -> bool:
    """Whether a layer has float32 weights of the ordinary kind, and the forward of its class."""
    from torch import float32, nn

    own_forward = getattr(layer.forward, "__func__", None) is nn.Linear.forward
    return own_forward and type(layer.weight) is nn.Parameter and layer.weight.dtype == float32


class Bf16Forward:
    """A layer's forward in bfloat16; a copy of the layer, or one that is saved, is plain again."""

    def __init__(self, layer: nn.Linear) -> None:
        self._layer = layer

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        return bf16_forward(self._layer, given)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = memo.get(id(self._layer), self._layer)
        return MethodType(type(copied).forward, copied)

    def __reduce__(self) -> Any:
        return getattr, (self._layer, "forward")


def bf16_forward(layer: nn.Linear, given: torch.Tensor) -> torch.Tensor:
    """As `nn.Linear.forward`.

    The weights are cast in each call, which costs little beside the product: so they remain where
    and what they are, for everything that moves them, adds to them or asks for their precision.
    """
    from torch import bfloat16
    from torch.nn.functional import linear

    bias = None if layer.bias is None else layer.bias.to(bfloat16)
    return linear(given.to(bfloat16), layer.weight.to(bfloat16), bias).to(given.dtype)
