"""Studies that never ran: timings and losses whose true effects are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np

from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.study.cell import Cell, CellRun

LOSSES = {"psnr_db": lambda value, bare: 10 ** (-value / 20)}
SPREAD_DB = 3.0
"""Standard deviation of the PSNR from block to block."""


def cell(uses: Sequence[str] = (), **changes: Any) -> Cell:
    """A cell with these accelerators, in this order."""
    fields = {
        "name": " + ".join(uses) or "bare",
        "kind": "stack" if uses else "bare",
        "accelerators": [AcceleratorOptions.model_construct(use=name) for name in uses],
        "sampling": {},
        "settings": {},
    }
    return Cell.model_construct(**fields | changes)


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All of them, in the order of `names`, the empty one first."""
    return list(chain.from_iterable(combinations(names, size) for size in range(len(names) + 1)))


def factorial(names: Sequence[str]) -> list[Cell]:
    """A cell for every subset."""
    return [cell(uses) for uses in subsets(names)]


def runs_of(
    logs: Mapping[str, Sequence[float]] | Mapping[str, float],
    *,
    blocks: int = 1,
    quality: Mapping[str, Mapping[str, float]] | None = None,
) -> list[CellRun]:
    """One run per cell and block, with these log speedups (one for all blocks, or one for each)."""
    runs = []
    for name, given in logs.items():
        speeds = [given] * blocks if isinstance(given, (int, float)) else list(given)
        runs += [
            CellRun(
                cell=name,
                prompt=f"prompt {block}",
                seed=0,
                seconds=(1 + block) * math.exp(-speed),
                call_seconds=(1 + block) * (math.exp(-speed) + 1),
                started=f"{block:04}",
                quality=dict((quality or {}).get(name, {})),
            )
            for block, speed in enumerate(speeds)
        ]
    return runs


@dataclass(frozen=True)
class World:
    """How runs come about. Logs of seconds are sums of all of these.

    Attributes:
        names: the accelerators.
        truth: mean log speedup of every cell, by its accelerators.
        decibel: mean PSNR of every cell but the bare one, by its accelerators.
        block: spread of what is common to a block.
        suits: spread of how well an accelerator suits a block.
        pairs_suit: the same of what two accelerators have on top together.
        drift: spread of one step of the machine's random walk, from one run to the next.
        trend: how much longer each run takes than the one before; the same all along.
        noise: spread of a run.
        outliers: share of runs that take half as long again.
        seeds: how many blocks in a row have the same prompt.
        of_prompt: share of the variance of how well accelerators suit a block that is its prompt's.
        shuffled: whether cells of a block are run in random order; else in the order of `truth`.
    """

    names: Sequence[str]
    truth: Mapping[tuple[str, ...], float]
    decibel: Mapping[tuple[str, ...], float]
    block: float = 0.3
    suits: float = 0.05
    pairs_suit: float = 0.03
    drift: float = 0.003
    trend: float = 0.0
    noise: float = 0.02
    outliers: float = 0.03
    seeds: int = 1
    of_prompt: float = 0.0
    shuffled: bool = True

    def mean_loss(self, uses: tuple[str, ...]) -> float:
        """The true mean of `LOSSES["psnr_db"]`: that of a log-normal distribution."""
        scale = math.log(10) / 20
        return math.exp(-self.decibel[uses] * scale + (SPREAD_DB * scale) ** 2 / 2)

    def runs(self, seed: int, blocks: int, repeats: int = 2) -> list[CellRun]:
        """A study of this world."""
        rng = np.random.default_rng(seed)
        cells = list(self.truth)
        has = np.array([[name in uses for name in self.names] for uses in cells], dtype=float)
        two = np.array([math.comb(len(uses), 2) > 0 for uses in cells], dtype=float)
        suits = self._suits(rng, self.suits, (blocks, len(self.names)))
        pairs = self._suits(rng, self.pairs_suit, (blocks,))
        speed = np.array(list(self.truth.values())) + suits @ has.T + pairs[:, None] * two
        place = rng.permuted(np.tile(np.arange(len(cells)), (repeats, blocks, 1)), axis=2)
        if not self.shuffled:
            place = np.sort(place, axis=2)
        machine = rng.normal(self.trend, self.drift, place.size).cumsum().reshape(place.shape)
        drift = np.take_along_axis(machine, place, axis=2)
        block = rng.normal(0, self.block, (blocks, 1))
        noise = rng.normal(0, self.noise, place.shape)
        noise += math.log(1.5) * (rng.random(place.shape) < self.outliers)
        seconds = np.exp(3 + block - speed + drift + noise)
        decibel = rng.normal(0, SPREAD_DB, (blocks, len(cells)))
        return list(self._records(cells, seconds, decibel))

    def _suits(self, rng: np.random.Generator, spread: float, shape: tuple[int, ...]) -> np.ndarray:
        """Of each block, partly its prompt's."""
        own = rng.normal(0, spread, shape)
        if not self.of_prompt:
            return own
        prompts = rng.normal(0, spread, (shape[0] // self.seeds, *shape[1:]))
        shared = np.repeat(prompts, self.seeds, axis=0)
        return math.sqrt(self.of_prompt) * shared + math.sqrt(1 - self.of_prompt) * own

    def _records(
        self, cells: list[tuple[str, ...]], seconds: np.ndarray, decibel: np.ndarray
    ) -> Iterable[CellRun]:
        for (repeat, block, column), value in np.ndenumerate(seconds):
            uses = cells[column]
            psnr = self.decibel[uses] + decibel[block, column] if uses else 100.0
            yield CellRun(
                cell=" + ".join(uses) or "bare",
                prompt=f"prompt {block // self.seeds}",
                seed=block % self.seeds,
                repeat=repeat,
                seconds=float(value),
                call_seconds=float(value) + 2.0,
                quality={} if repeat else {"psnr_db": float(psnr)},
            )


def world_of_two(**changes: Any) -> World:
    """Two accelerators of 1.8x and 1.5x that lose 10 % to each other."""
    uses = subsets(["a", "b"])
    logs = [0.0, math.log(1.8), math.log(1.5), math.log(0.9 * 1.8 * 1.5)]
    return World(
        ["a", "b"],
        dict(zip(uses, logs, strict=True)),
        dict(zip(uses, [100.0, 30.0, 34.0, 28.0], strict=True)),
        **changes,
    )
