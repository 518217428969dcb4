"""The block-stack seam of a model that no adapter knows: first find the blocks, then watch them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError
from sraccel.loop.intercept import CALL, Bypass, Interception, Later
from sraccel.loop.seams.block_finder import find_blocks
from sraccel.loop.seams.block_stack import BlockStackSeam
from sraccel.loop.unknown_family import UnknownFamily

if TYPE_CHECKING:
    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.hooks import LoopHooks
    from sraccel.loop.skipping import Skipping


class FoundBlockStackSeam(BlockStackSeam):
    """Finds the blocks in the denoiser's first call, by a forward beside it; then as any other.

    What it finds stays with the denoiser's adapter, so that it is looked for once.
    """

    def __init__(
        self, denoiser: Denoiser, hooks: LoopHooks, skipping: Skipping, family: UnknownFamily
    ) -> None:
        super().__init__(denoiser, hooks, skipping)
        self._family = family
        self._later: list[Interception | Bypass | Later] = []

    def install(self) -> Iterator[Interception | Bypass | Later]:
        """The layers of the blocks, or the one that finds them and puts those in place."""
        if self._family.found is not None:
            yield from super().install()
            return
        yield Later(self._later)
        yield Interception(self._denoiser.module, CALL, self._first)

    def _first(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        if self._call is None or self._later:
            return inner(*args, **kwargs)
        if self._family.found is None:
            call, self._announced = self._announced, None
            self._family.found = find_blocks(
                self._denoiser.module,
                lambda: inner(
                    *map(_fresh, args), **{name: _fresh(value) for name, value in kwargs.items()}
                ),
            )
            self._announced = call
        if self._family.found is None:
            raise self._not_found()
        self._later.extend(super().install())
        return inner(*args, **kwargs)

    def _not_found(self) -> ConflictError:
        users = self._hooks.who("skip_blocks", "residual_computed")
        return ConflictError(
            f"no adapter knows {self._family.family}, the denoiser {self._denoiser.role!r}, and "
            f"its blocks could not be found from its structure: with every list of blocks that it "
            f"has skipped, and their hidden states given, it answered otherwise. Leave "
            f"{', '.join(map(repr, users))} out of the recipe, or add an adapter "
            f"(docs/how-to/add-a-family.md)"
        )


def _fresh(value: Any) -> Any:
    """A list anew: some models take what a ControlNet adds out of it, one by one."""
    return list(value) if isinstance(value, list) else value
