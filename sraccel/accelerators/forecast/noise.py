"""The noise of a denoiser: how far rounding moves its values, and what that costs order 1.

Two values that were computed g steps apart, each with noise of variance s^2, give a slope that is
noise to a share of 2 s^2 / mean((r_c - r_b)^2). Extrapolated k steps ahead, the noise of the last
value is multiplied by sqrt((1 + k/g)^2 + (k/g)^2). The slope that is best in the mean square is
the measured one times what is not noise of it (Wiener's filter); at 0, order 1 is reuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sraccel.plugin import Accelerator, Denoiser, mean

if TYPE_CHECKING:
    import torch

DISTURBANCE = 0.01
"""Size of the changes of the input by which noise is measured, relative to its deviation: above
what int8 and bfloat16 resolve, and so small that a smooth model answers in proportion."""
KERNELS = frozenset({"attention", "linear"})
"""Claims of accelerators that may compute in less precision than the model has."""


def measured(values: list[torch.Tensor]) -> float:
    """The noise of one value relative to its root mean square.

    Args:
        values: of an input x, of x + d and of x + 2 d, for one small random d. A smooth function
            without noise would give a second difference of 0; noise of variance s^2 gives 6 s^2.
    """
    first, second, third = (value.float() for value in values)
    difference = first - 2 * second + third
    noise = (difference.square().mean() / 6).sqrt()
    return float(noise / first.square().mean().sqrt().clamp(min=1e-30))


def kept_share(last: torch.Tensor, before: torch.Tensor, noise: float) -> torch.Tensor:
    """The share of a slope that is not noise: from 0 (reuse) to 1 (order 1); a 0-dim tensor.

    Args:
        last, before: the last two computed values, of one shape.
        noise: relative to the root mean square of the last one.
    """
    change = mean((last.float() - before.float()).square())
    of_noise = 2 * noise**2 * mean(last.float().square())
    return (1 - of_noise / change.clamp(min=1e-30)).clamp(0, 1)


def why_noisy(denoiser: Denoiser, accelerators: Iterable[Accelerator]) -> str | None:
    """What makes a denoiser's values noisy: a kernel or its dtype; None: neither, in float32."""
    for accelerator in accelerators:
        claims = {one if isinstance(one, str) else one.name for one in accelerator.claims}
        if claims & KERNELS:
            return accelerator.name
    dtype = denoiser.describe()["dtype"]
    return None if dtype in ("float32", "float64", None) else str(dtype)
