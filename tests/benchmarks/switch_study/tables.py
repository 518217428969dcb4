"""The table of `table.py`, read from its journals into arrays. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sraccel.errors import OutputError

Array = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]
"""A switch step for each prompt; the number of steps: none."""


@dataclass(frozen=True)
class Curve:
    """One grid of the sketch model, over the step at which the render model takes over.

    Attributes:
        num_steps: of the grid.
        steps: the switch steps that were run, rising; the last one is `num_steps`: no switch.
        quality: by metric, an array (prompts, steps).
    """

    num_steps: int
    steps: Steps
    quality: Mapping[str, Array]

    def at_every_step(self, metric: str) -> Array:
        """Quality (prompts, num_steps + 1); between steps that were run it is interpolated."""
        every = np.arange(self.num_steps + 1)
        return np.stack([np.interp(every, self.steps, row) for row in self.quality[metric]])

    def of(self, chosen: Any) -> Self:
        """The same of some prompts."""
        quality = {name: values[chosen] for name, values in self.quality.items()}
        return replace(self, quality=quality)


@dataclass(frozen=True)
class Table:
    """What the prompts' runs showed and made.

    Attributes:
        prompts: their numbers.
        sigmas: noise level of each step (steps,).
        ratio: cost of a render step over that of a sketch step.
        features: of the bare runs, by name, (prompts, steps); NaN where there is none.
        full: every switch of the full grid.
        uniform: fewer uniform steps, by their number.
        placed: fewer placed steps, likewise.
    """

    prompts: Steps
    sigmas: Array
    ratio: float
    features: Mapping[str, Array]
    full: Curve
    uniform: Mapping[int, Curve]
    placed: Mapping[int, Curve]

    @property
    def num_steps(self) -> int:
        """Of the full grid."""
        return self.full.num_steps

    def cost(self, switch: Any, num_steps: int | None = None) -> Any:
        """Cost of runs that switch at these steps; 1 is the full grid's without a switch."""
        rest = (self.num_steps if num_steps is None else num_steps) - np.asarray(switch)
        return (switch + self.ratio * rest) / self.num_steps

    def of(self, chosen: Any) -> Self:
        """The same of some prompts, given by a mask or by positions."""
        return replace(
            self,
            prompts=self.prompts[chosen],
            features={name: values[chosen] for name, values in self.features.items()},
            full=self.full.of(chosen),
            uniform={count: curve.of(chosen) for count, curve in self.uniform.items()},
            placed={count: curve.of(chosen) for count, curve in self.placed.items()},
        )

    def halves(self) -> tuple[Self, Self]:
        """Training and held-out prompts: even and odd numbers; an unfinished table has both."""
        even = self.prompts % 2 == 0
        return self.of(even), self.of(~even)


def read_table(folder: Path, ratio: float | None = None) -> Table:
    """The table in a folder.

    Args:
        folder: `--work` of `table.py`.
        ratio: cost of a render step over that of a sketch step; the measured one, unless given.

    Raises:
        OutputError: there is none, or its journals are of different runs.
    """
    journals = [list(_lines(path)) for path in sorted(folder.glob("prompts-*.jsonl"))]
    headers = [lines[0] for lines in journals if lines]
    lines = {line["prompt"]: line for journal in journals for line in journal[1:]}
    if not lines:
        raise OutputError(f"{folder} holds no prompts: make them with table.py --work {folder}")
    if any(header != headers[0] for header in headers):
        raise OutputError(f"{folder} holds journals of different runs: move some away")
    return _table(headers[0], [lines[prompt] for prompt in sorted(lines)], ratio)


def finished_prompts(folder: Path, header: Mapping[str, Any]) -> set[int]:
    """The prompts that any journal of the folder holds, those of other processes too.

    Raises:
        OutputError: one of them is of another run.
    """
    done: set[int] = set()
    wanted = json.loads(json.dumps(header))
    for path in folder.glob("prompts-*.jsonl"):
        found, *lines = [*_lines(path)] or [wanted]
        if found != wanted:
            raise OutputError(f"{path} holds prompts of another run: give another --work")
        done |= {line["prompt"] for line in lines}
    return done


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines: another process may be writing the last one."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for line in whole.splitlines():
        yield json.loads(line)


def _table(header: dict[str, Any], lines: list[dict[str, Any]], ratio: float | None) -> Table:
    features = {
        name: np.array([line["features"][name] for line in lines], dtype=float)
        for name in lines[0]["features"]
    }
    counts = [int(count) for count in header["placements"]]
    return Table(
        prompts=np.array([line["prompt"] for line in lines]),
        sigmas=np.array(header["sigmas"])[: header["steps"]],
        ratio=measured_ratio(lines) if ratio is None else ratio,
        features=features,
        full=_curve(lines, "full"),
        uniform={count: _curve(lines, f"uniform-{count}") for count in counts},
        placed={count: _curve(lines, f"placed-{count}") for count in counts},
    )


def measured_ratio(lines: list[dict[str, Any]]) -> float:
    """CPU seconds of a render forward over those of a sketch forward, median over prompts."""
    seconds = [line["seconds_a_forward"] for line in lines]
    return float(np.median([each["render"] / each["sketch"] for each in seconds]))


def _curve(lines: list[dict[str, Any]], name: str) -> Curve:
    runs = [line["runs"][name] for line in lines]
    metrics = [key for key in runs[0] if key != "steps"]
    quality = {metric: np.array([run[metric] for run in runs], dtype=float) for metric in metrics}
    steps = np.array(runs[0]["steps"])
    return Curve(int(steps[-1]), steps, quality)
