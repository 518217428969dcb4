"""One outcome (a speed, a loss), from which means and contrasts of cells are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sraccel.study.analysis.blocks import BlockTable, Matrix
from sraccel.study.analysis.resampling import Draws, Resampling, Units
from sraccel.study.cell import BARE, Cell
from sraccel.study.results import Estimate

Contrast = Mapping[str, float]
"""By cell, what its mean is multiplied by before all are summed."""

NAMED = 3
"""Missing cells that a reason names."""


class Outcome:
    """One outcome of all cells.

    Args:
        values: shape (blocks, cells); NaN where there is none.
        lacks: by cell, why it has no value at all; of such cells alone.
        units: of each block, the unit that it is drawn with.
        shown: makes what is shown of a value: `math.exp` of the logs of factors.
    """

    def __init__(
        self,
        values: Matrix,
        cells: Sequence[Cell],
        lacks: Mapping[str, str],
        units: Units,
        resampling: Resampling,
        shown: Callable[[float], float],
    ) -> None:
        self.values = values
        self.units = units
        self.columns = {cell.name: column for column, cell in enumerate(cells)}
        self.resampling = resampling
        self.shown = shown
        self._lacks = lacks

    def why_not(self, cells: Iterable[str]) -> str | None:
        """Why nothing can be said of these cells together; None: something can."""
        needed = list(dict.fromkeys(cells))
        reasons = list(dict.fromkeys(self._lacks[cell] for cell in needed if cell in self._lacks))
        if reasons:
            more = [f"and {len(reasons) - NAMED} more like these"] * (len(reasons) > NAMED)
            return "; ".join(reasons[:NAMED] + more)
        if not self.common(needed).any():
            return f"in no block did all of these finish: {', '.join(needed)}"
        return None

    def common(self, cells: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Of each block, whether all of these cells have a value there; shape (blocks,)."""
        columns = [self.columns[cell] for cell in cells]
        return np.asarray(np.isfinite(self.values[:, columns]).all(axis=1), dtype=np.bool_)

    def draw(self, *contrasts: Contrast) -> list[Draws]:
        """Each contrast of the cells' means, over the blocks in which all these cells have a value.

        `why_not` must have found nothing.
        """
        cells = list(dict.fromkeys(cell for contrast in contrasts for cell in contrast))
        kept = self.common(cells)
        values, units = self.values[kept], self.units[kept]
        return [
            self.resampling.mean(
                sum(
                    (factor * values[:, self.columns[cell]] for cell, factor in contrast.items()),
                    start=np.zeros(len(values)),
                ),
                units,
            )
            for contrast in contrasts
        ]

    def estimate(self, contrast: Contrast) -> tuple[Estimate | None, str | None]:
        """A contrast of the cells' means as it is shown; or none, and why."""
        why = self.why_not(contrast)
        if why is not None:
            return None, why
        (draws,) = self.draw(contrast)
        return draws.estimate(self.shown), None


class Outcomes:
    """All outcomes of a study."""

    def __init__(
        self,
        table: BlockTable,
        cells: Sequence[Cell],
        resampling: Resampling,
        limits: Mapping[str, tuple[float, float]],
    ) -> None:
        begun = {run.cell for run in table.runs}
        finished = {run.cell for run in table.runs if run.outcome == "finished"}

        def outcome(values: Matrix, noun: str, shown: Callable[[float], float] = float) -> Outcome:
            known = np.asarray(np.isfinite(values).any(axis=0), dtype=np.bool_)
            lacks = {
                cell.name: _reason(cell.name, begun, finished, noun)
                for cell, there in zip(cells, known, strict=True)
                if not there
            }
            return Outcome(values, cells, lacks, table.units, resampling, shown)

        self.speed = outcome(table.log_speedup, "timing", math.exp)
        self.whole_call = outcome(table.log_whole_call, "timing of the whole call", math.exp)
        self.qualities = {
            name: outcome(values, name, _within(limits.get(name)))
            for name, values in table.quality.items()
        }
        self.losses = {name: outcome(values, name) for name, values in table.loss.items()}


def _within(limits: tuple[float, float] | None) -> Callable[[float], float]:
    """What is shown of a mean that lies between limits, and of the ends of its interval."""
    if limits is None:
        return float
    low, high = limits
    return lambda value: min(max(value, low), high)


def _reason(cell: str, begun: set[str], finished: set[str], noun: str) -> str:
    for needed in (BARE, cell):
        if needed not in begun:
            return f"{needed} was not run"
        if needed not in finished:
            return f"{needed} never finished"
    return f"{cell} has no {noun} in any block where {BARE} has one"
