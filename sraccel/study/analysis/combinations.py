"""The cells that are combinations of the recipe's accelerators: those of a factorial."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sraccel.study.analysis.outcome import Contrast
from sraccel.study.cell import Cell

Subset = frozenset[str]


class Combinations:
    """Which cell is which subset of the accelerators.

    A cell is one if it has some of the recipe's accelerators (or none), in the recipe's order, with
    the recipe's options and the study's arguments of the call.
    """

    def __init__(self, accelerators: Sequence[str], cells: Sequence[Cell]) -> None:
        self.accelerators = tuple(dict.fromkeys(accelerators))
        self.cells = {
            frozenset(cell.uses): cell.name for cell in reversed(cells) if self._is_one(cell)
        }

    def _is_one(self, cell: Cell) -> bool:
        changed = cell.kind == "plain_steps" or bool(cell.settings) or bool(cell.sampling)
        return not changed and cell.uses == self.in_order(cell.uses)

    def in_order(self, subset: Iterable[str]) -> tuple[str, ...]:
        """A subset in the recipe's order."""
        wanted = set(subset)
        return tuple(name for name in self.accelerators if name in wanted)

    def name(self, subset: Subset) -> str:
        """As a reader knows it, whether there is a cell or not."""
        return self.cells.get(subset) or " + ".join(self.in_order(subset)) or "bare"

    def lacks(self, subsets: Iterable[Subset]) -> str | None:
        """Why something that needs these cells cannot be told; None: they are all there."""
        missing = [self.name(subset) for subset in subsets if subset not in self.cells]
        if not missing:
            return None
        more = f" (nor {len(missing) - 1} more that are needed)" if len(missing) > 1 else ""
        return f"the study has no cell {missing[0]}{more}"

    def contrast(self, factors: Mapping[Subset, float]) -> Contrast:
        """By cell instead of by subset."""
        return {self.cells[subset]: factor for subset, factor in factors.items()}

    def subsets(self, of: Iterable[str] | None = None) -> Iterator[Subset]:
        """Of all accelerators or some: the empty one, each one, each two, ... in order."""
        names = self.accelerators if of is None else self.in_order(of)
        for size in range(len(names) + 1):
            yield from map(frozenset, itertools.combinations(names, size))

    def complete(self) -> list[Subset]:
        """Non-empty subsets that are cells, as are all of their own subsets."""
        return [
            subset
            for subset in self.subsets()
            if subset and self.lacks(self.subsets(subset)) is None
        ]
