"""The rule as an accelerator: options, what it remembers, and its decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Column,
    Level,
    ModelError,
    RuleOptions,
    Scope,
    Stack,
    Tunable,
    hookimpl,
    mean,
)

if TYPE_CHECKING:
    import torch

LEAST_SIGNAL = 0.01
"""Below this share of signal, an error is weighted as there: at pure noise, without bound."""
SAFETY = 0.9
MOST_GROWTH = 2.0
"""The next gap is at most so many times the last one, as in step-size control of solvers."""


@dataclass
class Pace:
    """What is remembered of one guidance branch.

    Attributes:
        gap: steps from one computed step to the next.
        since: steps since the last computed one.
        computed: how many were computed.
        expected: what would have stood in for the value that is being computed.
    """

    gap: int = 1
    since: int = 0
    computed: int = 0
    expected: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """How much memory the tensor takes."""
        return 0 if self.expected is None else self.expected.nbytes


class Feedback(Accelerator):
    """Computes again when the last prediction's error, as it turned out, says so."""

    name = "feedback"
    columns = {
        "error": Column(
            "weighted error",
            "of the prediction for a computed step, relative to its value, over the share of "
            "signal at that step",
        )
    }

    class Options(RuleOptions):
        """Options of the rule."""

        tolerance: Annotated[float, Tunable(0.05, 5.0, log=True)] = Field(
            0.3,
            gt=0,
            allow_inf_nan=False,
            description="The weighted error that a prediction may have: relative root mean "
            "square, over the share of signal. Lower computes more steps.",
        )
        warm_up: int = Field(
            2, ge=1, description="So many first steps are computed, of every model."
        )
        max_gap: Annotated[int, Tunable(3, 12)] = Field(
            8, ge=1, description="Steps from one computed step to the next, at most."
        )
        level: Level = Field(
            "call",
            description="What is skipped: the whole `call`, which costs nothing then, or its "
            "`blocks`, whose residual stands in.",
        )
        scope: Scope = Field(
            "first",
            description="Guidance branches: `each` decides for itself; the `first` of a step "
            "decides for all; `consensus`: so, unless a later one wishes to compute.",
        )

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.levels = frozenset({self.options.level})
        self._order = 1  # of the error in the gap: 1 for reuse, 2 for linear predictions

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        self._order = max(stack.skipping.keeps, 1)
        for denoiser in stack.denoisers.values():
            if denoiser.noise_space is None:
                raise ModelError(
                    f"feedback weights errors by the noise level, and what the timesteps of the "
                    f"denoiser {denoiser.role!r} mean is not known"
                )

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return self._skips(call)

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return self._skips(call)

    def _skips(self, call: Call) -> bool:
        pace = call.memory(self, Pace)
        pace.since += 1
        if pace.computed >= self.options.warm_up and pace.since < pace.gap:
            return True
        pace.expected = call.prediction()
        return False

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if self.options.level == "call" and call.computed:
            self._computed(call, output)

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        self._computed(call, residual)

    def _computed(self, call: Call, value: torch.Tensor) -> None:
        """Compare with what would have stood in, and set the next gap."""
        pace = call.memory(self, Pace)
        expected, pace.expected = pace.expected, None
        interval, pace.since = max(pace.since, 1), 0
        pace.computed += 1
        if expected is None:
            return
        error = _relative_error(expected, value) / max(_signal_share(call), LEAST_SIGNAL)
        call.step.measure(self, error=error)
        pace.gap = self._next_gap(interval, error)

    def _next_gap(self, interval: int, error: float) -> int:
        """As a solver sets its next step: an error grows with a power of the interval."""
        growth = (self.options.tolerance / max(error, 1e-12)) ** (1 / self._order)
        wanted = interval * min(SAFETY * growth, MOST_GROWTH)
        return max(1, min(int(wanted), self.options.max_gap))


def _relative_error(expected: torch.Tensor, value: torch.Tensor) -> float:
    difference = mean((value.float() - expected.float()).square()).sqrt()
    return float(difference / mean(value.float().square()).sqrt().clamp(min=1e-12))


def _signal_share(call: Call) -> float:
    """Of signal and noise, the signal: what is left to be changed is over it."""
    step, space = call.step, call.denoiser.noise_space
    if space is None or step.timestep is None:
        return 1.0
    signal, noise = space.levels_at(step.timestep, step.sigma)
    return signal / (signal + noise)
