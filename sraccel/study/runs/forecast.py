"""How long a study will take, before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.loop.clock import median

if TYPE_CHECKING:
    from sraccel.study.cell import CellRun
    from sraccel.study.runs.bench import Bench


@dataclass(frozen=True)
class CellForecast:
    """One cell.

    Attributes:
        name: of the cell.
        steps: denoising steps.
        seconds: of a whole call; None: it cannot run.
        measured: whether that is the median of finished runs. Otherwise it comes from a warm-up of
            a few steps, in which no step was skipped and no model switched: an upper end.
        refused: why it cannot run.
    """

    name: str
    steps: int
    seconds: float | None
    measured: bool = False
    refused: str | None = None


@dataclass(frozen=True)
class Forecast:
    """What a study will run.

    Attributes:
        cells: all.
        blocks: prompts times seeds.
        repeats: rounds, at most.
        done: runs of these rounds that are finished already.
        budget: seconds to measure at most; None: no limit.
    """

    cells: list[CellForecast]
    blocks: int
    repeats: int
    done: int
    budget: float | None

    @property
    def runs_of_a_round(self) -> int:
        """Runs that are needed before anything is known of all blocks."""
        return self.blocks * sum(cell.refused is None for cell in self.cells)

    @property
    def round_seconds(self) -> float:
        """Of one round of all blocks, nothing of it done."""
        return self.blocks * sum(cell.seconds or 0.0 for cell in self.cells)

    @property
    def measured(self) -> bool:
        """Whether all seconds come from finished runs."""
        return all(cell.measured for cell in self.cells if cell.refused is None)


def cell_forecasts(bench: Bench, records: Iterable[CellRun]) -> list[CellForecast]:
    """Each cell, by its finished runs if there are any, else by the warm-up."""
    taken: dict[str, list[float]] = {}
    for record in records:
        if record.call_seconds is not None:
            taken.setdefault(record.cell, []).append(record.call_seconds)
    return [
        CellForecast(
            cell.name,
            bench.steps(cell),
            median(taken[cell.name]) if cell.name in taken else _by_warm_up(bench, cell.name),
            cell.name in taken,
            bench.refused.get(cell.name),
        )
        for cell in bench.cells
    ]


def _by_warm_up(bench: Bench, name: str) -> float | None:
    if name not in bench.warm_step_seconds or name in bench.refused:
        return None
    cell = next(cell for cell in bench.cells if cell.name == name)
    steps = bench.steps(cell)
    return bench.warm_rest_seconds[name] + steps * bench.warm_step_seconds[name]
