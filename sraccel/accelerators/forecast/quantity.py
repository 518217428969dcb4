"""Which quantity is extrapolated, and by which variable: from and to a denoiser's prediction."""

from __future__ import annotations

import math
from typing import Any, Literal

from sraccel.plugin import NoiseSpace

Quantity = Literal["residual", "velocity", "x0", "eps", "auto"]
Variable = Literal["index", "sigma", "log_snr"]
Levels = tuple[float, float]
"""(signal level a, noise level b): the model's input is `a * x0 + b * noise`"""
OF_OUTPUT: dict[str, Levels] = {"velocity": (-1.0, 1.0), "x0": (1.0, 0.0), "eps": (0.0, 1.0)}
"""Weights of `x0` and of the noise in each quantity of a model's output."""
MOST_LOG_SNR = 10.0
"""Beyond, a schedule's ends would lie at infinity."""


def to_quantity(of: str, space: NoiseSpace, levels: Levels, noisy: Any, prediction: Any) -> Any:
    """A quantity of a denoiser's output, from its prediction; tensors of one shape."""
    return _exchanged(space.predicted(*levels), OF_OUTPUT[of], levels, noisy, prediction)


def to_prediction(of: str, space: NoiseSpace, levels: Levels, noisy: Any, quantity: Any) -> Any:
    """The prediction in which a quantity has this value."""
    return _exchanged(OF_OUTPUT[of], space.predicted(*levels), levels, noisy, quantity)


def gain(of: str, space: NoiseSpace, levels: Levels) -> float:
    """How much of a prediction's error is left in the quantity."""
    return abs(_weights(space.predicted(*levels), OF_OUTPUT[of], levels)[1])


def _exchanged(given: Levels, wanted: Levels, levels: Levels, noisy: Any, value: Any) -> Any:
    if given == wanted:
        return value
    of_noisy, of_value = _weights(given, wanted, levels)
    return of_noisy * noisy + of_value * value


def _weights(given: Levels, wanted: Levels, levels: Levels) -> Levels:
    """Weights of the noisy latent and of the given combination in the wanted one.

    Of `noisy = a x0 + b n` and `value = g0 x0 + g1 n` follow x0 and n, and of these the rest.
    """
    (a, b), (g0, g1), (w0, w1) = levels, given, wanted
    determinant = a * g1 - b * g0
    if abs(determinant) < 1e-6:  # pure noise says nothing of x0, a clean latent nothing of noise
        determinant = math.copysign(1e-6, determinant)
    return (w0 * g1 - w1 * g0) / determinant, (w1 * a - w0 * b) / determinant


def time_at(variable: Variable, index: int, levels: Levels | None) -> float:
    """When a step is, in a variable.

    Args:
        index: of the step.
        levels: at the step; not needed for `index`.
    """
    if variable == "index":
        return float(index)
    assert levels is not None
    signal, noise = levels
    if variable == "sigma":
        return noise / (signal + noise)
    if signal <= 0 or noise <= 0:
        return math.copysign(MOST_LOG_SNR, signal - noise)
    return max(-MOST_LOG_SNR, min(2 * math.log(signal / noise), MOST_LOG_SNR))
