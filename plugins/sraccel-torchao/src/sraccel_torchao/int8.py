"""Quantisation of linear layers to int8 by torchao's `quantize_`, taken back afterwards."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sraccel.plugin import Accelerator, AcceleratorOptions, Denoiser, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class TorchaoInt8(Accelerator):
    """Computes the blocks' linear layers with int8 weights, or with int8 weights and inputs."""

    name = "torchao-int8"
    claims = frozenset({"linear"})
    requires = ("torchao>=0.14",)

    class Options(AcceleratorOptions):
        """Options of the quantisation."""

        inputs: Literal["float", "int8"] = Field(
            "int8",
            description="`float`: only weights are int8, which saves memory; `int8`: inputs are "
            "quantised, too, as they come, and multiplied as integers.",
        )
        smallest: int = Field(
            0, ge=0, description="Layers with fewer inputs or outputs are left as they are."
        )

    options: Options

    def __init__(self, options: AcceleratorOptions | None = None) -> None:
        super().__init__(options)
        self._layers: dict[str, int] = {}

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        layers = list(self._plain_layers(denoiser))
        weights = [layer.weight for layer in layers]
        self._layers[denoiser.role] = len(layers)
        try:
            for layer in layers:
                self._quantise(layer)
            yield
        finally:
            for layer, weight in zip(layers, weights, strict=True):
                layer.weight = weight

    def _quantise(self, layer: nn.Linear) -> None:
        """Give a layer an int8 weight, in whose copies and files the layer's own is."""
        from torchao.quantization import quantize_

        own, before = layer.weight, set(vars(layer))
        quantize_(layer, self._config())
        for name in set(vars(layer)) - before:  # how torchao has it shown
            del vars(layer)[name]
        layer.weight.__deepcopy__ = lambda memo: copy.deepcopy(own, memo)
        layer.weight.__reduce_ex__ = own.__reduce_ex__

    def _plain_layers(self, denoiser: Denoiser) -> Iterator[nn.Linear]:
        """Linear layers of the blocks whose weights are of the ordinary kind."""
        from torch import nn

        for block in denoiser.adapter.blocks(denoiser.module):
            for layer in block.modules():
                plain = type(layer) is nn.Linear and type(layer.weight) is nn.Parameter
                if plain and min(layer.weight.shape) >= self.options.smallest:
                    yield layer

    def _config(self) -> Any:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig

        if self.options.inputs == "float":
            return Int8WeightOnlyConfig()
        return Int8DynamicActivationInt8WeightConfig()

    @hookimpl
    def run_started(self, run: Run) -> None:
        run.note(self, layers=dict(self._layers))
        for role in (role for role, number in self._layers.items() if not number):
            run.warn(
                f"torchao-int8 does nothing for the denoiser {role!r}: its blocks have no linear "
                f"layers of ordinary weights of {self.options.smallest} inputs or more"
            )
