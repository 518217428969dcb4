"""A denoiser's blocks: how many ran, and what cache-dit leaves on the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sraccel.plugin import Denoiser


class CountedBlocks:
    """Counts which blocks of a denoiser ran."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._blocks = list(denoiser.adapter.blocks(denoiser.module))
        self._ran = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count them."""
        handles = [block.register_forward_pre_hook(self._count) for block in self._blocks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _count(self, *_: Any) -> None:
        self._ran += 1

    def left_out(self) -> float:
        """The share of the blocks that did not run since this was asked last."""
        ran, self._ran = self._ran, 0
        return max(0.0, 1 - ran / len(self._blocks))


@contextmanager
def restored(denoiser: Denoiser) -> Iterator[None]:
    """Remove what came inside from a model and its lists of blocks.

    cache-dit replaces the list of blocks during a call, which moves it to the end of the model's
    modules: `state_dict` would list it last.
    """
    modules = denoiser.module._modules
    order = list(modules)
    parts = [denoiser.module, *denoiser.module.children()]
    before = [(part, set(vars(part))) for part in parts]
    try:
        yield
    finally:
        for part, names in before:
            for name in set(vars(part)) - names:
                del vars(part)[name]
        for name in order:
            modules[name] = modules.pop(name)
