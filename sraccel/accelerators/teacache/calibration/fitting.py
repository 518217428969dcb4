"""Fitting TeaCache's polynomial (Liu et al., arXiv 2411.19108, section 3.3), and judging the fit.

x is the relative L1 distance of a denoiser's modulated input to that of the step before, y the same
of its output; both are without unit. A polynomial of degree 4 predicts y from x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sraccel.accelerators.teacache.calibration_file import ThresholdRow
from sraccel.accelerators.teacache.rule import Rule

DEGREE = 4
MIN_POINTS = DEGREE + 1
MAX_FOLDS = 8
POOR_R2 = 0.5
"""Below this, the polynomial explains less than half of the variance."""
WILD = 1.5
"""A value of the polynomial this many times the greatest measured one is no longer a fit."""
TARGETS = np.linspace(0.10, 0.75, 8)
"""Shares of skipped steps for which thresholds are looked for."""
DECADES = 3
"""Orders of magnitude below the greatest threshold that could matter."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Distances of all runs of a denoiser.

    Attributes:
        x: of the modulated input, shape (points,).
        y: of the output, shape (points,).
        prompts: index of the prompt that each point comes from, shape (points,).
    """

    x: Vector
    y: Vector
    prompts: npt.NDArray[np.int64]

    @property
    def distinct(self) -> int:
        """How many different x there are."""
        return len(np.unique(self.x))


@dataclass(frozen=True)
class Fit:
    """A polynomial and how well it does; see `CalibrationEntry` for the fields."""

    coefficients: Vector
    r2: float
    error: float
    r2_held_out: float | None
    error_held_out: float | None


def fit(points: Points) -> Fit:
    """Least squares over all points, and a check that leaves whole prompts out.

    Needs at least `MIN_POINTS` different x.
    """
    coefficients = fit_polynomial(points.x, points.y)
    fitted = evaluate(coefficients, points.x)
    held_out = predict_held_out(points)
    return Fit(
        coefficients,
        r_squared(fitted, points.y),
        mean_absolute_error(fitted, points.y),
        None if held_out is None else r_squared(held_out, points.y),
        None if held_out is None else mean_absolute_error(held_out, points.y),
    )


def fit_polynomial(x: Vector, y: Vector) -> Vector:
    """Coefficients of degree 4, highest power first, shape (5,)."""
    lowest_first = np.polynomial.Polynomial.fit(x, y, DEGREE).convert().coef
    padded = np.zeros(DEGREE + 1)  # `convert` drops leading zeros
    padded[: len(lowest_first)] = lowest_first
    return padded[::-1].copy()


def evaluate(coefficients: Vector, x: Vector) -> Vector:
    """The polynomial's values, shape as `x`."""
    return np.asarray(np.polyval(coefficients, x), dtype=np.float64)


def predict_held_out(points: Points) -> Vector | None:
    """What fits without a point's own prompt predict for it, shape (points,).

    None where there is nothing to fit: there is one prompt, or the others have too few points.
    """
    folds = points.prompts % min(MAX_FOLDS, len(np.unique(points.prompts)))
    predicted = np.empty_like(points.y)
    for number in np.unique(folds):
        left_out = folds == number
        if len(np.unique(points.x[~left_out])) < MIN_POINTS:
            return None
        fitted = fit_polynomial(points.x[~left_out], points.y[~left_out])
        predicted[left_out] = evaluate(fitted, points.x[left_out])
    return predicted


def r_squared(predicted: Vector, actual: Vector) -> float:
    """Share of the variance that is explained; at most 1, and below 0 if the mean did better."""
    unexplained = float(((actual - predicted) ** 2).sum())
    variance = float(((actual - actual.mean()) ** 2).sum())
    if variance == 0:  # all alike: either predicted, or not at all
        return 1.0 if np.allclose(predicted, actual) else 0.0
    return 1 - unexplained / variance


def mean_absolute_error(predicted: Vector, actual: Vector) -> float:
    """In the unit of the distances."""
    return float(np.abs(actual - predicted).mean())


def warnings_of(found: Fit, points: Points) -> list[str]:
    """What a user should know before trusting a fit."""
    return [*_of_quality(found), *_of_shape(found, points)]


def _of_quality(found: Fit) -> list[str]:
    advice = (
        "more prompts, more steps, the other variant (`--retention` or not, where the family has "
        "two), or a cache of another kind (diffusers' SeaCache, say): compare videos before you "
        "trust this fit"
    )
    held_out, warnings = found.r2_held_out, []
    where, r2 = "on prompts left out", held_out
    if held_out is None:
        where, r2 = "on its own points", found.r2
        warnings.append(
            f"the fit could not be checked on prompts left out (R^2 on its own points: "
            f"{found.r2:.2f}): give several prompts"
        )
    if r2 is not None and r2 < POOR_R2:
        warnings.append(
            f"poor fit: R^2 {where} is {r2:.2f} (1 is perfect, below "
            f"{POOR_R2} is poor), so the input's change hardly predicts that of the output, and "
            f"TeaCache will skip the wrong steps. Try {advice}"
        )
    return warnings


def _of_shape(found: Fit, points: Points) -> list[str]:
    grid = np.linspace(points.x.min(), points.x.max(), 512)
    values = evaluate(found.coefficients, grid)
    warnings = []
    negative = grid[values < 0]
    if len(negative):
        warnings.append(
            f"the polynomial is negative for input changes between {negative.min():.3g} and "
            f"{negative.max():.3g}, inside the range of the data: there, each step lowers what has "
            f"accumulated, and steps are skipped for longer"
        )
    if np.abs(values).max() > WILD * points.y.max():
        at = grid[np.abs(values).argmax()]
        warnings.append(
            f"the polynomial swings to {values[np.abs(values).argmax()]:.3g} at an input change of "
            f"{at:.3g}, while no measured output change is above {points.y.max():.3g}: there is a "
            f"gap in the data; give more steps"
        )
    return warnings


@dataclass(frozen=True)
class Branch:
    """One guidance branch of one recorded run, as the rule sees it.

    Attributes:
        distances: of the modulated input at each step; None where there was no step before.
        steps: indices of these steps.
        num_inference_steps: of the run.
    """

    distances: Sequence[float | None]
    steps: Sequence[int]
    num_inference_steps: int


def count_skipped(rule: Rule, run: Branch) -> int:
    """Steps that the rule skips."""
    return sum(1 for _ in rule.skipped(run.distances, run.steps, run.num_inference_steps))


def skipped_share(rule: Rule, runs: Sequence[Branch]) -> float:
    """Share of all steps of all branches that the rule skips, from 0 to 1."""
    return sum(count_skipped(rule, run) for run in runs) / sum(len(run.steps) for run in runs)


def threshold_table(
    rule_for: Callable[[float], Rule], runs: Sequence[Branch]
) -> list[ThresholdRow]:
    """About 8 thresholds, of two digits each, that skip from about 10 % to 75 % of the steps.

    Fewer, where the runs allow fewer different shares; none, where no change counts.

    Args:
        rule_for: the rule with the fitted polynomial, by its threshold.
        runs: all branches of all runs of one denoiser.
    """
    polynomial = rule_for(0.0).coefficients
    greatest = max(
        sum(max(polynomial(x), 0.0) for x in run.distances if x is not None) for run in runs
    )
    if greatest <= 0:
        return []
    shares = {number: skipped_share(rule_for(number), runs) for number in _candidates(greatest)}
    rows: dict[float, ThresholdRow] = {}
    for target in TARGETS:
        best = min(shares, key=lambda threshold: abs(shares[threshold] - target))
        rows.setdefault(shares[best], ThresholdRow(threshold=best, skipped=shares[best]))
    return sorted(rows.values(), key=lambda row: row.threshold)


def _candidates(greatest: float) -> list[float]:
    """Numbers of two significant digits up to the first one above `greatest`."""
    top = int(np.ceil(np.log10(greatest)))
    return [
        float(f"{digits}e{exponent}")
        for exponent in range(top - 1 - DECADES, top - 1)
        for digits in range(10, 100)
    ]
