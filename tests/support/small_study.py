"""A small study on the trained pair: few steps, small frames."""

from __future__ import annotations

from typing import Any

from sraccel.study.cell import CellRun
from sraccel.study.plan.study import Study
from sraccel.study.runs.watcher import Position, Watcher

CALL = {"num_inference_steps": 4, "height": 32, "width": 32, "num_frames": 5}
PROMPTS = ["a red circle moving up", "a blue square moving left"]
TWO = [
    {"use": "srdiffusion", "render": "demo", "switch_step": 2},
    {"use": "teacache", "threshold": 10.0},
]
"""Half of the steps are the render model's; all but the first and the last are skipped."""


def small_study(accelerators: list[Any] | None = None, **plan: Any) -> Study:
    """Two accelerators, two prompts, one seed, one round."""
    given = {"prompts": PROMPTS, "repeats": 1, **plan}
    return Study(accelerators=TWO if accelerators is None else accelerators, study=given)


class Heard(Watcher):
    """Keeps what it hears; interrupts when so many runs are on disk.

    Attributes:
        positions: of the runs that began.
        records: of those that ended.
    """

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.positions: list[Position] = []
        self.records: list[CellRun] = []
        self._left = interrupt_after

    def begun(self, position: Position) -> None:
        if self._left is not None and len(self.records) >= self._left:
            raise KeyboardInterrupt
        self.positions.append(position)

    def ended(self, record: CellRun) -> None:
        self.records.append(record)


def untimed(records: list[CellRun]) -> dict[tuple[str, str, int, int], tuple[Any, ...]]:
    """All of each run that does not depend on the machine's speed."""
    return {
        (run.cell, run.prompt, run.seed, run.repeat): (
            run.outcome,
            run.frames_sha256,
            run.quality,
            run.reused_calls,
            run.switch_step,
            run.warnings,
        )
        for run in reversed(records)  # of a bare run that was made twice, the first
    }
