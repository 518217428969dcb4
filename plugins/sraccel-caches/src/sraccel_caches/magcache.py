"""MagCache (Ma et al., arXiv 2506.09045): skip while known magnitude ratios stay near 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator

from sraccel.plugin import (
    Accelerator,
    Call,
    FitFile,
    ModelError,
    RuleOptions,
    Run,
    Stack,
    Tunable,
    did_you_mean,
    hookimpl,
)
from sraccel_caches.mag_ratios import PUBLISHED

Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass
class Accumulated:
    """Since the last computed step: the product of ratios, the sum of errors, the steps."""

    ratio: float = 1.0
    error: float = 0.0
    steps: int = 0


class MagCache(Accelerator):
    """Skips while the residual's magnitude, by ratios known before, has changed by little."""

    name = "magcache"

    class Options(RuleOptions):
        """Options of MagCache."""

        ratios: str | Annotated[list[Ratio], Field(min_length=1)] = Field(
            description="Magnitude of the residual over that of the step before: the name of a "
            "model for which it was published, a file of `sraccel calibrate magcache`, or a list "
            "with a value a step.",
        )
        threshold: Annotated[float, Tunable(0.02, 0.5, log=True)] = Field(
            0.06, ge=0, allow_inf_nan=False, description="Skip while the accumulated error is less."
        )
        max_skips: Annotated[int, Tunable(1, 8)] = Field(
            3, ge=1, description="Steps skipped in a row, at most."
        )
        retention: Annotated[float, Tunable(0.04, 0.3)] = Field(
            0.2, ge=0, le=1, description="The share of the run's first steps that are computed."
        )

        @field_validator("ratios")
        @classmethod
        def _is_known(cls, given: str | list[float]) -> str | list[float]:
            if isinstance(given, str) and given not in PUBLISHED and not _is_file(given):
                raise ValueError(
                    f"no ratios are published for {given!r}{did_you_mean(given, PUBLISHED)} "
                    f"(known: {', '.join(PUBLISHED)}); measure them by `sraccel calibrate "
                    f"magcache` and name its file"
                )
            return given

        @classmethod
        def example(cls) -> dict[str, object]:
            """The demo pair has no published ones."""
            return {"ratios": [1.0, 1.01, 1.0, 0.99, 0.98]}

    options: Options

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        given = self.options.ratios
        if not isinstance(given, str):
            self._source = list(given)
        elif not _is_file(given):
            self._source = PUBLISHED[given]
        else:
            self._source = _calibrated(given, stack)

    @hookimpl
    def run_started(self, run: Run) -> None:
        given = self.options.ratios
        self._ratios = nearest(self._source, run.num_solver_steps)
        self._first = int(self.options.retention * run.num_solver_steps + 0.5)
        run.note(self, ratios=given if isinstance(given, str) else "given by the recipe")

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        step, seen = call.step.solver_step, call.memory(self, Accumulated)
        if step < self._first:
            return False
        seen.ratio *= self._ratios[step]
        seen.steps += 1
        seen.error += abs(1.0 - seen.ratio)
        fits = seen.error <= self.options.threshold and seen.steps <= self.options.max_skips
        if not fits or not call.history:
            seen.ratio, seen.error, seen.steps = 1.0, 0.0, 0
            return False
        return True


def _is_file(given: str) -> bool:
    return given.endswith(".json")


def _calibrated(path: str, stack: Stack) -> list[float]:
    file = FitFile.load(path, "magcache")
    if not file.fits(stack.own):
        raise ModelError(
            f"magcache: {path} was calibrated on {file.class_name} with other weights than those "
            f"of the denoiser {stack.own.role!r}"
        )
    ratios: list[float] = file.fit["ratios"]
    return ratios


def nearest(ratios: Sequence[float], steps: int) -> list[float]:
    """The ratios for another number of steps, as the official code interpolates them."""
    if steps == 1:
        return [ratios[-1]]
    scale = (len(ratios) - 1) / (steps - 1)
    return [ratios[round(step * scale)] for step in range(steps)]
