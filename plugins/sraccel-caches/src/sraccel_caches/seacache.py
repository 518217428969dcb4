"""SeaCache (arXiv 2602.18993): skip while the signal in the noisy latents has changed by little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sraccel.plugin import (
    Accelerator,
    Call,
    ModelError,
    RuleOptions,
    Stack,
    Tunable,
    hookimpl,
    rel_l1_distance,
)

if TYPE_CHECKING:
    import torch

LEAST = 1e-6
TINY = 1e-16


@dataclass
class Seen:
    """Of one guidance branch: the filtered latents of the step before, and what accumulated."""

    filtered: torch.Tensor | None = None
    accumulated: float = 0.0
    skipped: int = 0

    @property
    def nbytes(self) -> int:
        """How much memory the tensor takes."""
        return 0 if self.filtered is None else self.filtered.nbytes


class SeaCache(Accelerator):
    """Skips while the noisy latents, filtered to their signal, have changed by little."""

    name = "seacache"

    class Options(RuleOptions):
        """Options of SeaCache."""

        threshold: Annotated[float, Tunable(0.05, 0.8, log=True)] = Field(
            0.2,
            ge=0,
            allow_inf_nan=False,
            description="Skip while the accumulated relative L1 change (a ratio) is below this.",
        )
        max_skips: Annotated[int, Tunable(1, 8)] = Field(
            2, ge=0, description="Steps skipped in a row, at most; 0: no limit."
        )
        first: int = Field(1, ge=1, description="So many first steps are always computed.")
        last: int = Field(1, ge=0, description="So many last steps are always computed.")
        power: float = Field(
            3.0, gt=0, description="Of the frequency, by which a clean video's power falls."
        )

    options: Options

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        for denoiser in stack.denoisers.values():
            if denoiser.noise_space is None:
                raise ModelError(
                    f"seacache filters by the noise level, and what the timesteps of the denoiser "
                    f"{denoiser.role!r} mean is not known"
                )

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        seen, given = call.memory(self, Seen), self.options
        before, seen.filtered = seen.filtered, filtered(call.model_input, _sigma(call), given.power)
        step, steps = call.step.solver_step, call.step.run.num_solver_steps
        forced = before is None or step < given.first or step >= steps - given.last
        if before is not None and not forced and not 0 < given.max_skips <= seen.skipped:
            seen.accumulated += float(rel_l1_distance(seen.filtered, before))
            if seen.accumulated < given.threshold and call.history:
                seen.skipped += 1
                return True
        seen.accumulated, seen.skipped = 0.0, 0
        return False


def _sigma(call: Call) -> float:
    """The share of noise; of flow matching, its sigma."""
    step, space = call.step, call.denoiser.noise_space
    assert space is not None  # check_stack saw to it
    signal, noise = space.levels_at(step.timestep or 0.0, step.sigma)
    return noise / (signal + noise)


def filtered(latents: torch.Tensor, sigma: float, power: float) -> torch.Tensor:
    """The latents by Wiener's filter for a power spectrum f ** -power, of mean gain 1.

    Args:
        latents: of shape (batch, channels, frames, height, width), or without frames.
        sigma: the share of noise.
        power: of the spectrum, each axis by itself, as in the published code.
    """
    import torch

    axes = tuple(range(2, latents.ndim))
    sigma = min(max(sigma, LEAST), 1 - LEAST)
    gain = torch.ones((), device=latents.device)
    for axis in axes:
        frequency = torch.fft.fftfreq(latents.shape[axis], device=latents.device)
        clean = 1.0 / (frequency.abs() ** power + TINY)
        along = (1 - sigma) * clean / ((1 - sigma) ** 2 * clean + sigma**2 + TINY)
        gain = gain * along.view([-1 if other == axis else 1 for other in range(latents.ndim)])
    spectrum = torch.fft.fftn(latents.float(), dim=axes) * (gain / gain.mean())
    return torch.fft.ifftn(spectrum, dim=axes).real.to(latents.dtype)
