"""A small regressor: the quality that every later switch would have, from what the run has shown.

Before each step, ridge regression on causal features of the bare run expects the quality of
switching now and of each later switch. At a price of cost, the run switches as soon as no later
switch is expected to be worth its cost. The features are relative to their mean over the training
prompts at the same noise level, so a model without any knowledge switches all prompts at one step.
On another grid a step is taken for the training grid's step of the nearest noise level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from settings import Choice, Setting, on_full_grid
from tables import Array, Steps, Table

CHANGES = ("d", "x0_d", "cond_d", "uncond_d", "x0_change", "turn")
"""Features from step to step: they are taken per unit of `logit(sigma)`."""
LEVELS = ("guidance", "guided_norm", "x0_norm")
PENALTIES = tuple(10.0**power for power in range(7))
FOLDS = 5
FAR = 4.0
"""Standard deviations at which a feature is cut off."""


def noise_positions(table: Table) -> Array:
    """`-logit(sigma)` of the steps, rising."""
    sigmas = np.clip(table.sigmas, 1e-4, 1 - 1e-4)
    positions: Array = np.log((1 - sigmas) / sigmas)
    return positions


def causal_features(table: Table) -> Array:
    """What is known before each step: (prompts, steps, features), NaN where nothing is.

    Each feature's logarithm at the step before, and its mean over all steps before.
    """
    widths = np.diff(noise_positions(table), prepend=np.nan)
    rates = [table.features[name] / widths for name in CHANGES]
    values = np.log(np.stack([*rates, *(table.features[name] for name in LEVELS)], axis=2) + 1e-9)
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).cumsum(axis=1), known.cumsum(axis=1)
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    after_step = np.concatenate([values, means], axis=2)
    nothing = np.full_like(after_step[:, :1], np.nan)
    return np.concatenate([nothing, after_step[:, :-1]], axis=1)


@dataclass(frozen=True)
class CurveModel:
    """The fitted regressions, one before each step of the training grid.

    Attributes:
        positions: of the training grid's steps, (steps,).
        mean: of the features, (steps, features).
        deviation: likewise.
        curve: mean quality by switch step, (steps + 1,).
        weights: (steps, features, steps + 1).
        penalty: the ridge's, chosen by cross-validation over prompts.
    """

    positions: Array
    mean: Array
    deviation: Array
    curve: Array
    weights: Array
    penalty: float

    @classmethod
    def fit(cls, table: Table, metric: str) -> Self:
        """Learn from all prompts of a table."""
        found, curves = causal_features(table), table.full.at_every_step(metric)
        mean, deviation = mean_and_deviation(found)
        inputs = scaled(found, mean, deviation).swapaxes(0, 1)
        curve = curves.mean(axis=0)
        penalty = best_penalty(inputs, curves - curve)
        weights = ridge(inputs, curves - curve, penalty)
        return cls(noise_positions(table), mean, deviation, curve, weights, penalty)

    def expected(self, table: Table) -> Array:
        """Quality (prompts, steps, steps + 1): before a step, of each switch step."""
        nearest = self.nearest(table)
        inputs = scaled(causal_features(table), self.mean[nearest], self.deviation[nearest])
        columns = np.append(nearest, len(self.positions))
        weights = self.weights[nearest][:, :, columns]
        expected: Array = self.curve[columns] + np.einsum("psf,sfk->psk", inputs, weights)
        return expected

    def nearest(self, table: Table) -> Steps:
        """For each step of a table the training grid's step of the nearest noise level."""
        away = np.abs(noise_positions(table)[:, None] - self.positions)
        step: Steps = away.argmin(axis=1)
        return step

    def settings(self, prices: Array) -> list[Setting]:
        """Switch as soon as no later switch is expected to be worth its cost, at these prices."""
        return [lambda table, price=price: self._choice(table, price) for price in prices]

    def _choice(self, table: Table, price: float) -> Choice:
        steps = np.arange(table.num_steps + 1)
        worth = self.expected(table) - price * table.cost(steps)
        later = np.where(steps >= steps[:-1, None], worth, -np.inf).max(axis=2)
        hits = worth[:, steps[:-1], steps[:-1]] >= later
        switch = np.where(hits.any(axis=1), hits.argmax(axis=1), table.num_steps)
        return on_full_grid(table, switch)


def mean_and_deviation(found: Array) -> tuple[Array, Array]:
    """Over prompts; the deviation not below a small one, since at first some hardly differ."""
    known = np.isfinite(found)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, found, 0).sum(axis=0) / count
    apart = np.where(known, found - mean, 0)
    return mean, np.maximum(np.sqrt(np.square(apart).sum(axis=0) / count), 1e-3)


def scaled(found: Array, mean: Array, deviation: Array) -> Array:
    """Features in standard deviations from their mean; 0 where nothing is known."""
    away: Array = np.clip(np.nan_to_num((found - mean) / deviation), -FAR, FAR)
    return away


def ridge(inputs: Array, targets: Array, penalty: float) -> Array:
    """Weights (steps, features, outputs) of regressions without intercept.

    Args:
        inputs: (steps, prompts, features).
        targets: (prompts, outputs), the same for every step.
        penalty: of the squared weights.
    """
    turned = inputs.swapaxes(1, 2)
    solved: Array = np.linalg.solve(
        turned @ inputs + penalty * np.eye(inputs.shape[2]), turned @ targets
    )
    return solved


def best_penalty(inputs: Array, targets: Array) -> float:
    """The penalty of least squared error, by cross-validation over prompts."""
    fold = np.arange(len(targets)) % FOLDS

    def error(penalty: float) -> float:
        total = 0.0
        for k in range(FOLDS):
            weights = ridge(inputs[:, fold != k], targets[fold != k], penalty)
            total += float(np.square(inputs[:, fold == k] @ weights - targets[fold == k]).sum())
        return total

    return min(PENALTIES, key=error)
