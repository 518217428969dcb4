"""Placements that `placements.py` found: which steps of a grid to take, for a number of steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from points import Setting

from sraccel.errors import OutputError
from sraccel.plugin import weights_checksum

DEFAULT = Path(__file__).parents[2] / "docs" / "assets" / "benchmarks" / "placements.json"


@dataclass(frozen=True)
class Placements:
    """Of one shift.

    Attributes:
        positions: by number of steps.
        reference: `steps` and `shift` of a run that has converged.
    """

    positions: dict[int, Sequence[int]]
    reference: dict[str, Any]

    @classmethod
    def load(cls, path: Path, pipe: Any, steps: int, shift: float | None = None) -> Self:
        """Read a file.

        Args:
            path: of `placements.py`.
            pipe: the demo pair's pipeline; the file must be of its weights.
            steps: of the grid.
            shift: None: the pipeline's own.

        Raises:
            OutputError: there is none, or it is of another grid, shift or model.
        """
        if not path.is_file():
            raise OutputError(f"no {path}: run tests/benchmarks/placements.py first")
        content = json.loads(path.read_text("utf-8"))
        shift = pipe.scheduler.config.flow_shift if shift is None else shift
        found = content["shifts"].get(f"{shift:g}")
        fits = content["steps"] == steps and found is not None
        if not fits or content["weights"] != weights_checksum(pipe.transformer):
            raise OutputError(
                f"{path} has placements for {content['steps']} steps, shifts "
                f"{', '.join(content['shifts'])}, of weights {content['weights'][:12]}; wanted are "
                f"{steps} steps, shift {shift:g}, of the present weights: run "
                f"tests/benchmarks/placements.py again"
            )
        budgets = {int(n): entry["positions"] for n, entry in found["budgets"].items()}
        return cls(budgets, content["reference"])

    def settings(self, family: str, **more: Any) -> list[Setting]:
        """A setting for each number of steps."""
        return [
            Setting(family, f"{budget} steps", positions=positions, **more)
            for budget, positions in self.positions.items()
        ]

    def converged(self) -> Setting:
        """The run that has converged."""
        steps, shift = self.reference["steps"], self.reference["shift"]
        return Setting("converged", f"{steps} steps, shift {shift:g}", steps=steps, shift=shift)
