"""What a study reports before it begins, and while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sraccel.study.cell import Block, CellRun


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
class StudyForecast:
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


@dataclass(frozen=True)
class Position:
    """Where a study is.

    Attributes:
        cell: the run that begins.
        block: its prompt and seed.
        repeat: 0-based round.
        done: runs of all rounds so far that are on disk.
        planned: runs of all rounds so far, this one included.
        seconds_left: of this round, by what runs of each cell took so far; None: not known yet.
        budget_left: seconds until the budget is spent; None: there is no limit.
    """

    cell: str
    block: Block
    repeat: int
    done: int
    planned: int
    seconds_left: float | None
    budget_left: float | None = None


class Watcher:
    """Hears how a study goes, and does nothing: a subclass overrides what it shows."""

    def planned(self, forecast: StudyForecast) -> None:
        """Everything is composed and warm; the first run is about to begin."""

    def begun(self, position: Position) -> None:
        """A run begins."""

    def step(self, what: str, done: int, total: int) -> None:
        """A denoising step of a run has ended (or of the warm-up)."""

    def ended(self, record: CellRun) -> None:
        """A run is on disk."""
