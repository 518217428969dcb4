"""Placed steps as an accelerator: which noise levels a run takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    BudgetFile,
    ConflictError,
    Finding,
    ModelError,
    Run,
    Sampling,
    Stack,
    StepPlan,
    Tunable,
    Ways,
    budgets_for,
    hookimpl,
)

Sigma = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Position = Annotated[int, Field(ge=0)]


class Steps(Accelerator):
    """Takes fewer steps than were asked for, placed where they count."""

    name = "steps"

    class Options(AcceleratorOptions):
        """Options of placed steps: one of `number`, `positions` and `sigmas`."""

        number: Annotated[int | None, Tunable(0.08, 0.6, unit="steps", way="uniform")] = Field(
            None, ge=1, description="How many steps are taken, placed as `placement` says."
        )
        placement: Annotated[
            Literal["calibrated", "uniform"], Tunable(choices=("uniform",), way="uniform")
        ] = Field(
            "calibrated",
            description="Of `number`: `calibrated` for this model and number, or `uniform` on the "
            "grid of steps that was asked for.",
        )
        positions: list[Position] | None = Field(
            None,
            min_length=1,
            description="The steps that are taken, of those that were asked for: 0-based, rising, "
            "beginning with 0.",
        )
        sigmas: list[Sigma] | None = Field(
            None,
            min_length=1,
            description="Their noise levels, falling, in the scheduler's own terms; the first is "
            "that of the noise that a run begins with.",
        )
        file: str | None = Field(
            None,
            description="Calibration (`sraccel calibrate steps`); null takes `steps.json` beside "
            "the model's weights.",
        )

        @model_validator(mode="after")
        def _one_way(self) -> Any:
            given = [key for key in ("number", "positions", "sigmas") if getattr(self, key)]
            if len(given) != 1:
                found = " and ".join(given) or "none"
                raise ValueError(f"give one of number, positions and sigmas (here: {found})")
            if self.positions and (self.positions[0] or not _rise(self.positions)):
                raise ValueError("positions begin with 0 and rise")
            if self.sigmas and not _rise([-sigma for sigma in self.sigmas]):
                raise ValueError("sigmas fall")
            if self.file is not None and (not self.number or self.placement == "uniform"):
                raise ValueError("a file is for a `number` of steps, calibrated")
            return self

        def doubts(self, sampling: Sampling) -> Iterable[str]:
            asked = sampling.num_inference_steps
            if self.number and asked is not None and self.number >= asked:
                yield f"{self.number} of {asked} steps: it does nothing"

        @classmethod
        def example(cls) -> Mapping[str, Any]:
            return {"number": 4, "placement": "uniform"}

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self._calibrated: BudgetFile | None = None

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        number = self.options.number
        if number is not None and self.options.placement == "calibrated":
            self._calibrated = budgets_for("steps", stack.own, self.options.file)
            self._calibrated.budget(number)

    @classmethod
    def tunable_ways(cls, stack: Stack) -> Ways:
        """Uniform steps, and the numbers that the model is calibrated for."""
        ways = dict(super().tunable_ways(stack))
        try:
            numbers = tuple(sorted(budgets_for("steps", stack.own).budgets))
        except ModelError:  # it has no calibration
            return ways
        return {"calibrated": {"number": Tunable(choices=numbers)}, **ways}

    def outlook(self, stack: Stack) -> Iterable[Finding]:
        """How the steps were calibrated."""
        if self._calibrated is not None:
            yield Finding("note", f"steps calibrated on {_provenance(self._calibrated)}")
            yield from self._calibrated.outlook(stack)

    @hookimpl
    def plan_steps(self, plan: StepPlan) -> list[float] | None:
        asked, number = plan.num_inference_steps, self.options.number
        if self.options.sigmas is not None:
            return self.options.sigmas
        if number is not None and number >= asked:
            return None
        if self._calibrated is not None and number is not None:
            # What the run begins with is given; the grid may be another than the calibrated one.
            return [plan.sigmas[0], *self._calibrated.levels(number)[1:]]
        positions = self.options.positions
        if positions is None:
            assert number is not None
            positions = [round(k * asked / number) for k in range(number)]
        if positions[-1] >= asked:
            raise ConflictError(
                f"steps: there is no step {positions[-1]} in a run of {asked}: positions count "
                f"from 0 and are of the steps that the pipeline is asked for"
            )
        return [plan.sigmas[position] for position in positions]

    @hookimpl
    def run_started(self, run: Run) -> None:
        if run.planned_by != self.name:
            return
        options = self.options
        placement = options.placement if options.number is not None else "given"
        run.note(self, placement=placement)
        if self._calibrated is not None:
            run.note(self, calibrated_on=_provenance(self._calibrated))


def _rise(values: list[float] | list[int]) -> bool:
    return all(one < other for one, other in pairwise(values))


def _provenance(file: BudgetFile) -> str:
    shift = "" if file.flow_shift is None else f" at flow shift {file.flow_shift:g}"
    return f"{len(file.prompts)} prompts, {len(file.sigmas)} steps{shift}, {file.date}"
