"""The rule as an accelerator: options, the list of a run, and its decisions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    BudgetFile,
    Call,
    Finding,
    Forecast,
    Level,
    ModelError,
    RuleOptions,
    Run,
    Sampling,
    Stack,
    Tunable,
    Ways,
    budgets_for,
    evenly,
    hookimpl,
)

Position = Annotated[int, Field(ge=0)]


class Schedule(Accelerator):
    """Computes the steps of a list, given or calibrated for a budget, and skips the others."""

    name = "schedule"

    class Options(RuleOptions):
        """Options of the rule: `steps` or `budget`."""

        steps: list[Position] | None = Field(
            None, min_length=1, description="The steps that are computed: 0-based."
        )
        budget: Annotated[int | None, Tunable(0.08, 0.5, unit="steps", way="budget")] = Field(
            None,
            ge=1,
            description="How many steps are computed; which, a calibration says. On another grid "
            "of noise levels than the calibrated one, those that come nearest.",
        )
        file: str | None = Field(
            None,
            description="Calibration (`sraccel calibrate schedule`); null takes `schedule.json` "
            "beside the model's weights.",
        )
        level: Level = Field(
            "call",
            description="What is skipped: the whole `call`, which costs nothing then, or its "
            "`blocks`, whose residual stands in.",
        )

        @model_validator(mode="after")
        def _one_way(self) -> Any:
            if (self.steps is None) == (self.budget is None):
                raise ValueError("give either steps or a budget")
            if self.file is not None and self.budget is None:
                raise ValueError("a file is for a budget")
            return self

        def doubts(self, sampling: Sampling) -> Iterable[str]:
            asked = sampling.num_inference_steps
            if asked is None:
                return
            if self.budget is not None and self.budget >= asked:
                yield f"{self.budget} of {asked} steps are computed: it skips nothing"
            if self.steps is not None and max(self.steps) >= asked:
                yield f"step {max(self.steps)} lies beyond the recipe's {asked} steps"

        @classmethod
        def example(cls) -> Mapping[str, Any]:
            return {"steps": [0, 1, 3, 5]}

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.levels = frozenset({self.options.level})
        self._calibrated: BudgetFile | None = None
        self._computed: frozenset[int] | None = None  # of the open run; None: all

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        if self.options.budget is not None:
            self._calibrated = budgets_for("schedule", stack.own, self.options.file)
            self._calibrated.budget(self.options.budget)

    @classmethod
    def tunable_ways(cls, stack: Stack) -> Ways:
        """The budgets that the model is calibrated for."""
        calibrated = budgets_for("schedule", stack.own)
        return {"budget": {"budget": Tunable(choices=tuple(sorted(calibrated.budgets)))}}

    def outlook(self, stack: Stack) -> Iterable[Finding]:
        """What the calibration warns of."""
        return self._calibrated.outlook(stack) if self._calibrated is not None else ()

    def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast:
        """The steps that are skipped; of a budget without noise levels, their share."""
        try:
            scheduler = _scheduler_of(stack, num_inference_steps)
            computed = self._list(scheduler, num_inference_steps)
        except (ModelError, TypeError, ValueError):  # it takes what only the pipeline's call knows
            skips = evenly(1 - (self.options.budget or 0) / num_inference_steps)
            return Forecast(skips=dict.fromkeys(stack.denoisers, skips))
        if computed is None:
            return Forecast()
        return Forecast(skips=dict.fromkeys(stack.denoisers, lambda taken: {*taken} - computed))

    @hookimpl
    def run_started(self, run: Run) -> None:
        scheduler = getattr(run.stack.pipeline, "scheduler", None)
        self._computed = self._list(scheduler, run.num_solver_steps)
        if self._computed is not None:
            run.note(self, computed_steps=sorted(self._computed))

    def _list(self, scheduler: Any, steps: int) -> frozenset[int] | None:
        """The steps of a run of so many that are computed; None: all of them."""
        budget = self.options.budget
        if self.options.steps is not None:
            return frozenset(self.options.steps)
        assert budget is not None
        assert self._calibrated is not None
        if budget >= steps:
            return None
        return frozenset(self._calibrated.positions_on(budget, _sigmas(scheduler, steps)))

    @hookimpl
    def skip_call(self, call: Call) -> bool | None:
        return self._skips(call)

    @hookimpl
    def skip_blocks(self, call: Call) -> bool | None:
        return self._skips(call)

    def _skips(self, call: Call) -> bool | None:
        if self._computed is None:
            return None
        return call.step.solver_step not in self._computed


def _scheduler_of(stack: Stack, steps: int) -> Any:
    """A copy of the pipeline's scheduler, set to so many steps."""
    scheduler: Any = copy.deepcopy(getattr(stack.pipeline, "scheduler", None))
    if scheduler is not None:
        scheduler.set_timesteps(steps)
    return scheduler


def _sigmas(scheduler: Any, steps: int) -> list[float]:
    """The run's noise levels, in the scheduler's own terms.

    Raises:
        ModelError: they are not known.
    """
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None:
        raise ModelError(
            "schedule: a budget needs the noise levels of the run, and this loop's scheduler has "
            "none: give the steps themselves (`steps: [...]`)"
        )
    return [float(sigma) for sigma in sigmas[:steps]]
