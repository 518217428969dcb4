"""How much of a denoiser's work was done in a call, seen from which of its modules ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from sraccel.plugin import Denoiser


class Work:
    """The parts of the blocks (attention, feed-forward) that ran since `take` was last asked.

    A part counts by its weights, a half batch half. What skips a part skips its first linear layer,
    whoever does so and however.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        blocks = denoiser.adapter.blocks(denoiser.module)
        parts = [part for block in blocks for part in block.children()]
        firsts = [(part, _first_linear(part)) for part in parts]
        self._parts = [(part, first) for part, first in firsts if first is not None]
        self._weights = [_size(part) for part, _ in self._parts]
        self._whole = _size(denoiser.module)
        self._usual = [0] * len(self._parts)
        self._ran = [0] * len(self._parts)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the parts."""
        handles = [
            first.register_forward_pre_hook(Watcher(self, index))
            for index, (_, first) in enumerate(self._parts)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def see(self, index: int, batch: int) -> None:
        """A part ran on a batch of this size."""
        self._ran[index] = batch
        self._usual[index] = max(self._usual[index], batch)

    def take(self) -> float:
        """The share of the model's weights that were left out, of those that were ever used."""
        left_out = sum(
            weight * (1 - ran / usual)
            for weight, ran, usual in zip(self._weights, self._ran, self._usual, strict=True)
            if usual
        )
        self._ran = [0] * len(self._parts)
        return left_out / self._whole


class Watcher:
    """A hook on a part's first linear layer; nobody watches a copy of that, or one from a file."""

    def __init__(self, work: Work | None = None, index: int = 0) -> None:
        self._work, self._index = work, index

    def __call__(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        if self._work is not None:
            self._work.see(self._index, given[0].shape[0] if given else 1)

    def __reduce__(self) -> Any:
        return Watcher, ()


def _first_linear(part: nn.Module) -> nn.Module | None:
    from torch import nn

    return next((one for one in part.modules() if isinstance(one, nn.Linear)), None)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
