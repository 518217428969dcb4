"""An accelerator that changes the denoisers: a template for kernels and precisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Accelerator, AcceleratorOptions, Denoiser, Interception, Run, hookimpl

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
        with ExitStack() as undo:
            for layer in layers:  # a copy of the model that somebody makes meanwhile is plain
                undo.enter_context(Interception(layer, "forward", partial(bf16_forward, layer)))
            yield

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


def bf16_forward(layer: nn.Linear, _: Any, given: torch.Tensor) -> torch.Tensor:
    """As `nn.Linear.forward`, in its place.

    The weights are cast in each call, which costs little beside the product: so they remain where
    and what they are, for everything that moves them, adds to them or asks for their precision.
    """
    from torch import bfloat16
    from torch.nn.functional import linear

    bias = None if layer.bias is None else layer.bias.to(bfloat16)
    return linear(given.to(bfloat16), layer.weight.to(bfloat16), bias).to(given.dtype)
