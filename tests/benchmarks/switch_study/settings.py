"""Settings of policies: each says for every prompt of a table where the run switches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tables import Array, Curve, Steps, Table

MEDIAN_OF = 3
Hits = npt.NDArray[np.bool_]
"""Whether a rule hits after a step: (prompts, steps)."""


@dataclass(frozen=True)
class Choice:
    """What a setting does with the prompts of a table.

    Attributes:
        curve: the grid that it runs.
        switch: the first step of the render model, a prompt each.
        cost: of each prompt; 1 is the full grid's without a switch.
    """

    curve: Curve
    switch: Steps
    cost: Array

    def quality(self, metric: str) -> Array:
        """One value a prompt."""
        chosen: Array = np.take_along_axis(
            self.curve.at_every_step(metric), self.switch[:, None], axis=1
        )[:, 0]
        return chosen


Setting = Callable[[Table], Choice]
Signal = Callable[[Table], Array]
"""Of a table, (prompts, steps)."""


def on_full_grid(table: Table, switch: Steps) -> Choice:
    """A switch of the full grid."""
    return Choice(table.full, switch, table.cost(switch))


def fixed_step(step: int) -> Setting:
    """The same step for all."""
    return lambda table: on_full_grid(
        table, np.full(len(table.prompts), min(step, table.num_steps))
    )


def fixed_sigma(sigma: float) -> Setting:
    """The first step whose noise level is at most this."""

    def setting(table: Table) -> Choice:
        step = int((table.sigmas > sigma).sum())
        return on_full_grid(table, np.full(len(table.prompts), step))

    return setting


def fewer(kind: str, count: int, switch: int | None = None) -> Setting:
    """The sketch model with fewer steps, `uniform` or `placed`; with a switch, if one is given."""

    def setting(table: Table) -> Choice:
        curve = table.full if count == table.num_steps else getattr(table, kind)[count]
        step = curve.num_steps if switch is None else switch
        steps = np.full(len(table.prompts), step)
        return Choice(curve, steps, table.cost(steps, curve.num_steps))

    return setting


def when_fall_stops(signal: Signal, threshold: float, min_step: int = 0) -> Setting:
    """The paper's rule: after step i where `0 < D_(i-1) - D_i < threshold`, from `min_step` on."""

    def setting(table: Table) -> Choice:
        falls = falls_of(signal(table))
        hits = (falls > 0) & (falls < threshold)
        hits[:, :min_step] = False
        return on_full_grid(table, after_first(hits))

    return setting


def when_beyond(signal: Signal, threshold: float, side: int) -> Setting:
    """After the first step where the signal is above (`side` 1) or below (-1) a level."""
    return lambda table: on_full_grid(table, after_first(side * signal(table) > side * threshold))


def when_models_agree(threshold: float, side: int) -> Setting:
    """Ask the render model too before each step; it goes on once its answer is far or near enough.

    Every step that the sketch model then takes costs the question besides.
    """

    def setting(table: Table) -> Choice:
        asked = table.features["disagreement"]
        hits = side * asked > side * threshold
        switch = np.minimum(after_first(hits) - 1, table.num_steps)
        switch[~hits.any(axis=1)] = table.num_steps
        questions = table.ratio * switch / table.num_steps
        return Choice(table.full, switch, table.cost(switch) + questions)

    return setting


def falls_of(signal: Array) -> Array:
    """How much it fell from the step before; NaN at the first one."""
    return -np.diff(signal, axis=1, prepend=np.nan)


def after_first(hits: Hits) -> Steps:
    """The step after the first hit of each prompt; the number of steps if there is none."""
    none = ~hits.any(axis=1)
    step: Steps = np.where(none, hits.shape[1], hits.argmax(axis=1) + 1)
    return step


def feature(name: str) -> Signal:
    """A feature as a signal."""
    return lambda table: table.features[name]


def smoothed(signal: Signal, width: int = MEDIAN_OF) -> Signal:
    """The median of so many steps up to each one; NaN before."""

    def medians(table: Table) -> Array:
        values = signal(table)
        made = np.full_like(values, np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(values, width, axis=1)
        made[:, width - 1 :] = np.median(windows, axis=2)  # NaN where one of them is
        return made

    return medians
