"""Noise spaces: what a denoiser's noisy latents, timesteps and predictions mean.

A noisy latent is `x = a * x0 + b * noise`, where `x0` is the VAE's latent times a scale. The
schedule gives the signal level `a` and the noise level `b` of a timestep; the prediction type says
which combination of `x0` and `noise` the denoiser predicts. Importing this module imports no torch.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sraccel.errors import LoopError

Levels = tuple[float, float]
"""(signal level a, noise level b)"""


class NoiseSchedule(Protocol):
    """Timesteps and levels, both ways; timesteps are continuous."""

    def levels(self, timestep: float) -> Levels:
        """Signal and noise level at a timestep."""

    def timestep(self, signal: float, noise: float) -> float:
        """The timestep at which signal and noise stand in this ratio."""

    def normalised(self, signal: float, noise: float) -> Levels:
        """The levels of this schedule that stand in the ratio `signal / noise`."""


@dataclass(frozen=True)
class FlowSchedule:
    """Flow matching: `a = 1 - sigma`, `b = sigma`, and the timestep counts sigma in thousandths.

    A shift of the sampling schedule (Wan's `flow_shift`) moves the timesteps that a sampler
    visits, not what a timestep means.
    """

    num_train_timesteps: int = 1000

    def levels(self, timestep: float) -> Levels:
        """Signal and noise level (a, b) at a timestep, which need not be whole."""
        sigma = timestep / self.num_train_timesteps
        return 1.0 - sigma, sigma

    def timestep(self, signal: float, noise: float) -> float:
        """The timestep at which the ratio of noise to signal is that of these levels."""
        return self.num_train_timesteps * noise / (signal + noise)

    def normalised(self, signal: float, noise: float) -> Levels:
        """Levels of the same ratio, as this schedule scales them."""
        return signal / (signal + noise), noise / (signal + noise)


@dataclass(frozen=True)
class VariancePreservingSchedule:
    """Diffusion with `a**2 + b**2 = 1`, known at whole timesteps.

    In between, the angle `atan2(b, a)` is interpolated: unlike the signal-to-noise ratio, it is
    finite at both ends. One timestep before the first lies the clean latent, one after the last
    pure noise.

    Attributes:
        alphas_cumprod: `a**2` at the timesteps 0, 1, 2, ...; falling.
    """

    alphas_cumprod: tuple[float, ...]
    _angles: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        signals = [math.sqrt(min(max(value, 0.0), 1.0)) for value in self.alphas_cumprod]
        noises = [math.sqrt(1.0 - signal * signal) for signal in signals]
        angles = [math.atan2(noise, signal) for signal, noise in zip(signals, noises, strict=True)]
        object.__setattr__(self, "_angles", (0.0, *angles, math.pi / 2))

    def levels(self, timestep: float) -> Levels:
        position = min(max(timestep + 1.0, 0.0), len(self._angles) - 1.0)
        before = min(int(position), len(self._angles) - 2)
        share = position - before
        angle = (1 - share) * self._angles[before] + share * self._angles[before + 1]
        return math.cos(angle), math.sin(angle)

    def timestep(self, signal: float, noise: float) -> float:
        angle = math.atan2(noise, signal)
        after = min(max(bisect.bisect_left(self._angles, angle), 1), len(self._angles) - 1)
        low, high = self._angles[after - 1], self._angles[after]
        share = (angle - low) / (high - low) if high > low else 1.0
        return after - 2 + share

    def normalised(self, signal: float, noise: float) -> Levels:
        length = math.hypot(signal, noise)
        return signal / length, noise / length

    def __repr__(self) -> str:
        return f"VariancePreservingSchedule({len(self.alphas_cumprod)} timesteps)"


PREDICTIONS: dict[str, Callable[[float, float], Levels]] = {
    "epsilon": lambda signal, noise: (0.0, 1.0),
    "sample": lambda signal, noise: (1.0, 0.0),
    "v_prediction": lambda signal, noise: (-noise, signal),
    "flow_prediction": lambda signal, noise: (-1.0, 1.0),
}
"""What a denoiser predicts: the weights of `x0` and of the noise, by prediction type."""


@dataclass(frozen=True)
class NoiseSpace:
    """What a denoiser's inputs and predictions mean.

    Attributes:
        schedule: signal and noise levels by timestep.
        prediction_type: a key of `PREDICTIONS`.
        latent_scale: the factor between the VAE's latent and `x0` (`scaling_factor`).
    """

    schedule: NoiseSchedule
    prediction_type: str
    latent_scale: float = 1.0

    def levels_at(self, timestep: float, sigma: float | None) -> Levels:
        """Signal and noise level at a step of a scheduler.

        Args:
            timestep: the scheduler's.
            sigma: its noise level, if known; flow matching's is taken as it is, since some
                schedulers round their timesteps.
        """
        if isinstance(self.schedule, FlowSchedule) and sigma is not None:
            return 1.0 - sigma, sigma
        return self.schedule.levels(timestep)

    def predicted(self, signal: float, noise: float) -> Levels:
        """Weights of `x0` and of the noise in this space's prediction at these levels."""
        return PREDICTIONS[self.prediction_type](signal, noise)

    def clean(self, model_input: Any, prediction: Any, timestep: float) -> Any:
        """The clean latent `x0` that a prediction implies (tensors; any shape).

        Raises:
            LoopError: at this timestep the prediction says nothing about `x0`.
        """
        signal, noise = self.schedule.levels(timestep)
        of_clean, of_noise = self.predicted(signal, noise)
        determinant = signal * of_noise - noise * of_clean
        if determinant == 0:
            raise LoopError(f"a {self.prediction_type} at timestep {timestep} holds no signal")
        return (of_noise * model_input - noise * prediction) / determinant

    def describe(self) -> dict[str, object]:
        """Facts for side-by-side errors and for the report."""
        return {
            "schedule": repr(self.schedule),
            "prediction type": self.prediction_type,
            "latent scale": self.latent_scale,
        }


def noise_space_of(scheduler: Any, vae_config: Mapping[str, Any] | None) -> NoiseSpace | None:
    """The noise space of the denoiser that goes with a scheduler and a VAE.

    Args:
        scheduler: a diffusers scheduler.
        vae_config: the VAE's configuration, for the scale; None takes 1.

    Returns:
        None if the scheduler belongs to neither flow matching nor variance-preserving diffusion.
    """
    config = scheduler.config
    flow = type(scheduler).__name__.startswith("FlowMatch") or config.get("use_flow_sigmas")
    schedule: NoiseSchedule
    if flow:
        if config.get("invert_sigmas"):
            return None
        schedule = FlowSchedule(int(config.get("num_train_timesteps", 1000)))
        prediction_type = "flow_prediction"
    elif hasattr(scheduler, "alphas_cumprod"):
        schedule = VariancePreservingSchedule(tuple(scheduler.alphas_cumprod.double().tolist()))
        prediction_type = config.get("prediction_type")
    else:
        return None
    if prediction_type not in PREDICTIONS:
        return None
    return NoiseSpace(schedule, prediction_type, float((vae_config or {}).get("scaling_factor", 1)))


def noise_level(levels: Levels) -> float:
    """The share of noise, `b / (a + b)`: comparable between schedules; flow matching's sigma."""
    signal, noise = levels
    return noise / (signal + noise)


def scheduled_sigma(scheduler: Any, space: NoiseSpace | None, position: int) -> float | None:
    """The noise level of a diffusers scheduler at a position, in the scheduler's own terms.

    Where it keeps no `sigmas`, it is noise over signal, as in those that do; None: not known.
    """
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None:
        return float(sigmas[position]) if position < len(sigmas) else None
    if space is None:
        return None
    signal, noise = space.schedule.levels(float(scheduler.timesteps[position]))
    return noise / signal if signal > 0 else math.inf


def scheduled_levels(scheduler: Any, schedule: NoiseSchedule, position: int) -> Levels:
    """Levels at a position of a diffusers scheduler's timesteps.

    Taken from its `sigmas` where it has them: some schedulers round their timesteps.
    """
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None:
        return schedule.levels(float(scheduler.timesteps[position]))
    sigma = float(sigmas[position])
    signal = 1.0 - sigma if isinstance(schedule, FlowSchedule) else 1.0
    return schedule.normalised(signal, sigma)
