"""Policies at equal mean cost, on prompts that nothing was chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lines import AS_IS, ON_OTHER_GRIDS, POLICIES, Line
from oracle import from_neighbours, oracle
from settings import Choice, Setting
from tables import Array, Table

BOOTSTRAPS = 2000
ORACLE = "oracle"
NEIGHBOURS = "oracle by the neighbours"


@dataclass(frozen=True)
class Mixture:
    """Two settings, of which the second is taken with probability `share`."""

    first: Setting
    second: Setting
    share: float

    def of(self, table: Table) -> list[tuple[float, Choice]]:
        """Weights and what the settings do."""
        return [(1 - self.share, self.first(table)), (self.share, self.second(table))]


@dataclass(frozen=True)
class Outcome:
    """What a policy makes of the held-out prompts, an entry a prompt."""

    cost: Array
    quality: Array
    switch: Array

    @classmethod
    def of(cls, parts: list[tuple[float, Choice]], metric: str) -> Outcome:
        """Means over a mixture."""

        def mean(of: Any) -> Array:
            total: Array = np.sum([weight * of(choice) for weight, choice in parts], axis=0)
            return total

        return cls(
            mean(lambda choice: choice.cost),
            mean(lambda choice: choice.quality(metric)),
            mean(lambda choice: choice.switch),
        )


def at_cost(line: Line, costs: Sequence[float], wanted: float) -> Mixture | None:
    """The neighbours of a line whose mixture has this mean cost; None: the line has not.

    Args:
        line: the settings.
        costs: their mean costs on the training prompts.
        wanted: the mean cost.
    """
    near = np.asarray(costs)
    below, above = np.flatnonzero(near <= wanted + 1e-12), np.flatnonzero(near >= wanted - 1e-12)
    if not (below.size and above.size):
        return None
    first, second = below[near[below].argmax()], above[near[above].argmin()]
    width = near[second] - near[first]
    share = (wanted - near[first]) / width if width > 1e-12 else 0.0
    return Mixture(line[first], line[second], float(np.clip(share, 0, 1)))


class Trained:
    """All policies, with everything that can be chosen chosen on the training prompts."""

    def __init__(self, train: Table, metric: str, names: Sequence[str]) -> None:
        self._train, self._metric = train, metric
        self._lines = {}
        for name in names:
            lines = POLICIES[name](train, metric)
            costs = [[float(setting(train).cost.mean()) for setting in line] for line in lines]
            self._lines[name] = list(zip(lines, costs, strict=True))

    def mixture(self, name: str, cost: float) -> Mixture | None:
        """A policy at a mean cost; None: it cannot be had at this cost."""
        found = [at_cost(line, costs, cost) for line, costs in self._lines[name]]
        there = [each for each in found if each is not None]
        if len(there) < 2:
            return there[0] if there else None
        return max(there, key=self._quality)

    def _quality(self, mixture: Mixture) -> float:
        return float(Outcome.of(mixture.of(self._train), self._metric).quality.mean())


def fixed_at(table: Table, metric: str, cost: float) -> Array:
    """Quality of one fixed switch step, or two neighbours mixed, whose mean cost is this."""
    every = table.full.at_every_step(metric)
    costs = table.cost(np.arange(table.num_steps + 1))
    share = np.interp(cost, costs, np.arange(len(costs)))
    first = min(int(share), table.num_steps - 1)
    mixed: Array = every[:, first] + (share - first) * (every[:, first + 1] - every[:, first])
    return mixed


def oracle_at(table: Table, metric: str, cost: float, neighbours: bool = False) -> Outcome:
    """The best switch step of each prompt at a mean cost; `neighbours`: chosen by those beside."""
    curve = table.full
    quality, costs = curve.quality[metric], table.cost(curve.steps)
    found = oracle(from_neighbours(quality) if neighbours else quality, costs, cost)
    rows = np.ones((len(quality), 1))
    return Outcome(
        found.mean_of(rows * costs), found.mean_of(quality), found.mean_of(rows * curve.steps)
    )


def compare(
    train: Table, test: Table, metric: str, speedups: Sequence[float], names: Sequence[str]
) -> list[dict[str, Any]]:
    """A row for each policy and speedup, and one over all speedups that a policy can be had at.

    `wanted` is the speedup that was wanted; None: over all, or of a policy that is taken as it is.
    """
    trained = Trained(train, metric, names)
    rows = [as_is(test, metric, name) for name in AS_IS]
    for name in [*names, NEIGHBOURS, ORACLE]:
        made = []
        for speedup in speedups:
            outcome = outcome_of(trained, test, metric, name, 1 / speedup)
            if outcome is not None:
                made.append(paired(test, metric, outcome))
                rows.append({"policy": name, "wanted": speedup, **figures(*made[-1], outcome)})
        if made:
            fixed, bound, ours = np.mean(made, axis=0)
            rows.append({"policy": name, "wanted": None, "speedups": len(made)})
            rows[-1] |= figures(fixed, bound, ours)
    return rows


def as_is(test: Table, metric: str, name: str) -> dict[str, Any]:
    """The row of a policy of which nothing is chosen."""
    outcome = Outcome.of([(1.0, AS_IS[name](test))], metric)
    compared = paired(test, metric, outcome)
    return {"policy": name, "wanted": None, **figures(*compared, outcome)}


def outcome_of(
    trained: Trained, test: Table, metric: str, name: str, cost: float
) -> Outcome | None:
    """What a policy, or an oracle, does at a cost; None: it cannot be had at it."""
    if name in (ORACLE, NEIGHBOURS):
        return oracle_at(test, metric, cost, name == NEIGHBOURS)
    mixture = trained.mixture(name, cost)
    return None if mixture is None else Outcome.of(mixture.of(test), metric)


def paired(test: Table, metric: str, outcome: Outcome) -> tuple[Array, Array, Array]:
    """Quality of the fixed step, the oracle and the policy, all at the policy's own mean cost."""
    cost = float(outcome.cost.mean())
    bound = oracle_at(test, metric, cost).quality
    return fixed_at(test, metric, cost), bound, outcome.quality


def figures(
    fixed: Array, bound: Array, ours: Array, outcome: Outcome | None = None
) -> dict[str, Any]:
    """Means and paired 95% bootstrap intervals over prompts, as (mean, low, high).

    `gain` is over the fixed step of the same cost, `gap` the oracle's gain, `share` gain over gap.
    """
    gain, gap = draws(ours - fixed), draws(bound - fixed)
    share = np.divide(gain, gap, out=np.full_like(gain, np.nan), where=gap > 1e-9)
    found = {
        "quality": float(ours.mean()),
        "gain": interval(gain),
        "gap": interval(gap),
        "share": interval(share) if np.isfinite(share).all() else None,
    }
    if outcome is not None:
        found["speedup"] = float(1 / outcome.cost.mean())
        found["switch"] = [float(value) for value in np.quantile(outcome.switch, (0.1, 0.5, 0.9))]
    return found


def draws(values: Array) -> Array:
    """The mean over prompts, then over bootstrapped ones; the same draws for every policy."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(values), (BOOTSTRAPS, len(values)))
    return np.concatenate([[values.mean()], values[chosen].mean(axis=1)])


def interval(values: Array) -> tuple[float, float, float]:
    """The first value, and where 95% of the others lie."""
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return float(values[0]), float(low), float(high)


def transferable(train: Table, test: Table) -> list[str]:
    """The policies that mean something on both tables."""
    same = train.placed.keys() == test.placed.keys() and train.num_steps == test.num_steps
    return [name for name in POLICIES if same or name not in ON_OTHER_GRIDS]
