"""The exact hand-off between denoisers whose scale, noise schedule or prediction type differ.

Derivation. The loop was made for one model, its own; another one answers. Let `z` be the VAE's
latent, which both models share. The own model's clean latent is `x0 = s * z`, the answering model's
`x0' = s' * z = r * x0` with `r = s' / s`. In the loop the noisy latent is

    x = a * x0 + b * e                                                                    (1)

and the answering model wants to see the same noise `e` on its own clean latent, at levels of its
own:

    x' = a' * x0' + b' * e = a' * r * x0 + b' * e                                         (2)

(2) is a multiple `k` of (1) exactly if `k * a = a' * r` and `k * b = b'`, that is

    a' / b' = (a / b) / r    and    k = b' / b = a' * r / a.                              (3)

So the answering model is called on `k * x`, at the timestep of *its* schedule that has this ratio;
the ratio need not fall on a whole timestep, and networks take any. For `r = 1` this is the
timestep of equal signal-to-noise ratio.

A prediction is `y = p * x0 + q * e` with weights known at the levels (noise: `p = 0, q = 1`;
clean latent: `p = 1, q = 0`; velocity: `p = -b, q = a`; flow: `p = -1, q = 1`). The answering
model's input and prediction are two equations for `x0'` and `e`. Solved, and put into the own
model's weights, with `d' = a' * q' - b' * p'`,

    y = (p * q' / r - q * p') / d' * x'  +  (q * a' - p * b' / r) / d' * y'.              (4)

(4) is affine in `y'`, and `x'` is the same for all guidance branches. Guidance takes an affine
combination of the branches whose weights sum to one, so it may be applied before or after.

If both models are optimal for the same data, (4) is the own model's prediction, so nothing changes
for the sampler. The derivation is sraccel's; SRDiffusion (arXiv 2505.19151) covers pairs that need
no conversion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sraccel.errors import LoopError
from sraccel.noise.space import NoiseSpace

SMALLEST_DETERMINANT = 1e-12


@dataclass(frozen=True)
class Exchange:
    """The change of variables at one timestep.

    Attributes:
        timestep: the answering model's timestep, continuous.
        input_scale: `k`: the answering model's input is `k * x`.
        of_input: weight of the loop's `x` in the converted prediction.
        of_prediction: weight of the answering model's prediction.
    """

    timestep: float
    input_scale: float
    of_input: float
    of_prediction: float

    def model_input(self, noisy: Any) -> Any:
        """The loop's noisy latents in the answering model's variables; same shape and dtype."""
        return (_precise(noisy) * self.input_scale).to(noisy.dtype)

    def prediction(self, noisy: Any, prediction: Any) -> Any:
        """The answering model's prediction in the loop's variables, in `noisy`'s dtype.

        Args:
            noisy: the loop's noisy latents.
            prediction: what the answering model predicted for `model_input(noisy)`.
        """
        converted = self.of_input * _precise(noisy) + self.of_prediction * _precise(prediction)
        return converted.to(noisy.dtype)


def exchange(own: NoiseSpace, answering: NoiseSpace, timestep: float) -> Exchange:
    """The change of variables from the loop's noise space to another, at a timestep of the loop.

    Raises:
        LoopError: the answering model's prediction holds no signal there (noise prediction at a
            signal level of zero).
    """
    ratio = answering.latent_scale / own.latent_scale
    signal, noise = own.schedule.levels(timestep)
    signal_a, noise_a = answering.schedule.normalised(signal, noise * ratio)
    # b' / b and a' r / a are equal; take the one that does not divide by almost nothing.
    scale = noise_a / noise if noise > signal else signal_a * ratio / signal
    p, q = own.predicted(signal, noise)
    p_a, q_a = answering.predicted(signal_a, noise_a)
    determinant = signal_a * q_a - noise_a * p_a
    if math.fabs(determinant) < SMALLEST_DETERMINANT:
        raise LoopError(
            f"the answering model predicts {answering.prediction_type}, which says nothing about "
            f"the video where the signal level is zero (timestep {timestep:g}): switch later"
        )
    return Exchange(
        timestep=answering.schedule.timestep(signal_a, noise_a),
        input_scale=scale,
        of_input=scale * (p * q_a / ratio - q * p_a) / determinant,
        of_prediction=(q * signal_a - p * noise_a / ratio) / determinant,
    )


def _precise(tensor: Any) -> Any:
    """At least float32: in half precision the two terms would cancel badly."""
    import torch

    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
