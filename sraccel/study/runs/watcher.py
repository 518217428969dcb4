"""What a study tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sraccel.study.cell import Block, CellRun
    from sraccel.study.runs.forecast import Forecast


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
    """

    cell: str
    block: Block
    repeat: int
    done: int
    planned: int
    seconds_left: float | None


class Watcher:
    """Is told; does nothing. A command line, say, overrides what it shows."""

    def planned(self, forecast: Forecast) -> None:
        """Everything is composed and warm; the first run is about to begin."""

    def begun(self, position: Position) -> None:
        """A run begins."""

    def step(self, what: str, done: int, total: int) -> None:
        """A denoising step of a run has ended (or of the warm-up)."""

    def ended(self, record: CellRun) -> None:
        """A run is on disk."""
