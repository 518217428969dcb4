"""The policies that are compared, each as lines: a line's settings differ in one number only.

At a given mean cost a policy takes two neighbours of a line, in the shares that give this cost on
the training prompts; of several lines, the one that is best on them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from learned import CurveModel
from settings import (
    Setting,
    Signal,
    falls_of,
    feature,
    fewer,
    fixed_sigma,
    fixed_step,
    smoothed,
    when_beyond,
    when_fall_stops,
    when_models_agree,
)
from tables import Array, Table

Line = list[Setting]
Lines = Callable[[Table, str], list[Line]]
"""Of training prompts and the metric that counts."""
THRESHOLDS = 80
PRICES = np.append(np.geomspace(100, 1e-4, THRESHOLDS), 0.0)
"""Quality that the whole run's cost is worth."""
MIN_STEPS = (0.06, 0.1, 0.16, 0.24, 0.34)
"""As shares of the steps."""
FIXED = "fixed step"


def quantiles(values: Array) -> list[float]:
    """Thresholds between which the values are spread evenly, and two beyond them."""
    known = values[np.isfinite(values)]
    inside = np.quantile(known, np.linspace(0, 1, THRESHOLDS)) if known.size else np.zeros(1)
    margin = 1e-9 + abs(inside[-1])
    return [float(inside[0] - margin), *map(float, np.unique(inside)), float(inside[-1] + margin)]


def fixed_steps(table: Table, metric: str) -> list[Line]:
    """One step for all."""
    return [[fixed_step(step) for step in range(table.num_steps + 1)]]


def mixed_fixed_steps(table: Table, metric: str) -> list[Line]:
    """Two steps, drawn without looking at the prompt: what mixing alone is worth.

    They are neighbours on the concave hull of the mean quality over cost.
    """
    mean = table.full.at_every_step(metric).mean(axis=0)
    return [[fixed_step(step) for step in hull(mean)]]


def hull(values: Array) -> list[int]:
    """Positions at which a concave curve over all values touches them."""
    kept: list[int] = []
    for step, value in enumerate(values):
        while len(kept) > 1 and _is_below(values, kept[-2], kept[-1], step, value):
            kept.pop()
        kept.append(step)
    return kept


def _is_below(values: Array, first: int, middle: int, last: int, value: float) -> bool:
    between = values[first] + (value - values[first]) * (middle - first) / (last - first)
    return bool(values[middle] <= between)


def fixed_sigmas(table: Table, metric: str) -> list[Line]:
    """One noise level for all."""
    between = np.sqrt(table.sigmas[1:] * table.sigmas[:-1])
    return [[fixed_sigma(float(sigma)) for sigma in (2.0, *between, 0.0)]]


def paper(signal: Signal) -> Lines:
    """The paper's rule on a signal."""

    def lines(table: Table, metric: str) -> list[Line]:
        return [fall_line(signal, table, 0)]

    return lines


def paper_with_min_step(signal: Signal) -> Lines:
    """The paper's rule, not before a step that is chosen with the threshold."""

    def lines(table: Table, metric: str) -> list[Line]:
        steps = sorted({round(share * table.num_steps) for share in MIN_STEPS})
        return [fall_line(signal, table, step) for step in steps]

    return lines


def fall_line(signal: Signal, table: Table, min_step: int) -> Line:
    """All thresholds of the paper's rule."""
    falls = falls_of(signal(table))
    thresholds = quantiles(falls[falls > 0])
    return [when_fall_stops(signal, each, min_step) for each in thresholds]


def level(signal: Signal) -> Lines:
    """A level of a signal, whichever side of it is better."""

    def lines(table: Table, metric: str) -> list[Line]:
        levels = quantiles(signal(table))
        return [[when_beyond(signal, each, side) for each in levels] for side in (-1, 1)]

    return lines


def agreement(table: Table, metric: str) -> list[Line]:
    """A level of the models' disagreement, whichever side of it is better."""
    levels = quantiles(table.features["disagreement"])
    return [[when_models_agree(each, side) for each in levels] for side in (-1, 1)]


def learned(table: Table, metric: str) -> list[Line]:
    """Prices of cost, for a regression that expects the quality of every later switch."""
    return [CurveModel.fit(table, metric).settings(PRICES)]


def fewer_steps(kind: str) -> Lines:
    """Fewer steps of the sketch model, and no switch."""

    def lines(table: Table, metric: str) -> list[Line]:
        counts = [*sorted(getattr(table, kind)), table.num_steps]
        return [[fewer(kind, count) for count in counts]]

    return lines


def placed_and_switch(table: Table, metric: str) -> list[Line]:
    """Fewer placed steps, and one switch for all."""
    return [
        [fewer("placed", count, int(step)) for step in curve.steps]
        for count, curve in table.placed.items()
        if len(curve.steps) > 1
    ]


POLICIES: dict[str, Lines] = {
    FIXED: fixed_steps,
    "fixed sigma": fixed_sigmas,
    "two fixed steps, at random": mixed_fixed_steps,
    "guided D, paper's rule": paper(feature("d")),
    "guided D, median of 3": paper(smoothed(feature("d"))),
    "guided D, min_step": paper_with_min_step(feature("d")),
    "guided D, level": level(feature("d")),
    "x0-D, paper's rule": paper(feature("x0_d")),
    "x0-D, level": level(feature("x0_d")),
    "cond/uncond distance, level": level(feature("guidance")),
    "both models' distance, level": agreement,
    "learned": learned,
    "fewer uniform steps": fewer_steps("uniform"),
    "fewer placed steps": fewer_steps("placed"),
    "placed steps, fixed switch": placed_and_switch,
}
AS_IS = {
    f"guided D, threshold {threshold}": when_fall_stops(feature("d"), threshold)
    for threshold in (0.01, 0.02, 0.03)
}
"""The paper's rule at the paper's thresholds, whatever they cost."""
ON_OTHER_GRIDS = ("fewer uniform steps", "fewer placed steps", "placed steps, fixed switch")
"""They are not bounded by the full grid's oracle, and need not fit a table with other steps."""
