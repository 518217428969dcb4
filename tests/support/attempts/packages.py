"""What another package does, put on by an accelerator: torchao's quantisation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sraccel.plugin import Accelerator, Denoiser, hookimpl


class TorchAO(Accelerator):
    """Weights in int8 by torchao, for as long as the stack is attached."""

    name = "torchao"
    claims = frozenset({"linear"})
    claims_speed = False

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        blocks: Any = denoiser.module.blocks
        plain = list(blocks)
        try:
            for place, block in enumerate(plain):
                blocks[place] = copy.deepcopy(block)
                quantize_(blocks[place], Int8WeightOnlyConfig())
            yield
        finally:
            for place, block in enumerate(plain):
                blocks[place] = block
