"""TeaCache as an accelerator: options, choice of coefficients, and the hooks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, WithJsonSchema, field_validator

from sraccel.accelerators.teacache.coefficients import Coefficients, choose, fitted, known, named
from sraccel.accelerators.teacache.forecast import forecast_of
from sraccel.accelerators.teacache.published import PUBLISHED
from sraccel.accelerators.teacache.rule import COEFFICIENT_COUNT, BranchState, Rule, Variant
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    ConflictError,
    Denoiser,
    Finding,
    Forecast,
    ModelError,
    RuleOptions,
    Run,
    Sampling,
    Stack,
    Tunable,
    did_you_mean,
    flow_shift,
    hookimpl,
)

NAMES = ["auto", *(entry.model for entry in PUBLISHED)]
Name = Annotated[
    str, WithJsonSchema({"type": "string", "anyOf": [{"enum": NAMES}, {"pattern": r"\.json$"}]})
]
Numbers = Annotated[
    list[FiniteFloat],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "number"},
            "minItems": COEFFICIENT_COUNT,
            "maxItems": COEFFICIENT_COUNT,
        }
    ),
]
Given = Name | Numbers
"""Coefficients as a recipe gives them: `auto`, a name, a file, or the numbers."""
ROLES = ("transformer", "transformer_2", "denoiser", "render")
FEW_STEPS = 8
"""Runs of this many steps or fewer have little to skip."""


class TeaCache(Accelerator):
    """Skips a step's blocks while the (rescaled) change of their input stays small."""

    name = "teacache"

    class Options(RuleOptions):
        """Options of TeaCache."""

        threshold: Annotated[float, Tunable(0.01, 0.5, log=True)] = Field(
            0.1,
            ge=0,
            allow_inf_nan=False,
            description="Skip while the accumulated, rescaled relative L1 change (a ratio) is "
            "below this; 0 never skips. Its scale differs between models and variants.",
        )
        retention: bool = Field(
            False,
            description="Wan's retention variant: decides by the time projection, always computes "
            "the first 5 steps, may skip the last one.",
        )
        coefficients: Given | dict[str, Given] = Field(
            "auto",
            description="Polynomial that rescales the change: `auto` recognises the model; else "
            "the name of a published one, a calibration file (`.json`), or a list of five numbers, "
            "highest power first. A mapping gives them by role (`transformer`, `render`).",
        )
        start: Literal["always", "after_switch"] = Field(
            "always", description="`after_switch` waits until another accelerator switches models."
        )

        @field_validator("coefficients")
        @classmethod
        def _can_be_meant(cls, given: Given | dict[str, Given]) -> Given | dict[str, Given]:
            for item in given.values() if isinstance(given, dict) else [given]:
                if isinstance(item, str):
                    _check_name(item)
                elif len(item) != COEFFICIENT_COUNT:
                    raise ValueError(f"{COEFFICIENT_COUNT} numbers are needed, not {len(item)}")
            return given

        def doubts(self, sampling: Sampling) -> Iterable[str]:
            steps = sampling.num_inference_steps
            if self.threshold == 0:
                yield "threshold 0 never skips: it does nothing"
            elif steps is not None and steps <= FEW_STEPS:
                yield _little_to_skip(steps)

    options: Options

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.variant = Variant.RETENTION if self.options.retention else Variant.PLAIN
        self._known: dict[str, list[Coefficients]] = {}  # by role of the denoiser
        self._rules: dict[str, Rule] = {}  # of this run, by role

    @hookimpl
    def check_stack(self, stack: Stack) -> None:
        if self.options.start == "after_switch" and not stack.hooks.who("select_denoiser"):
            raise ConflictError(
                "teacache has `start: after_switch`, but no accelerator of the recipe switches "
                "models: add srdiffusion, or take `start: always`"
            )
        self._check_roles(stack)
        for denoiser in stack.denoisers.values():
            if self.variant.modulated_input(denoiser.adapter) is None:
                raise ModelError(_nothing_to_decide_by(denoiser, self.variant))
            self._known[denoiser.role] = self._given(denoiser, alone=len(stack.denoisers) == 1)

    def _check_roles(self, stack: Stack) -> None:
        given = self.options.coefficients
        roles = {*ROLES, *stack.denoisers}  # one of ROLES may be in the pipeline handed over to
        unknown = [role for role in given if role not in roles] if isinstance(given, dict) else []
        if unknown:
            raise ConflictError(
                f"teacache: coefficients are given for {', '.join(map(repr, unknown))}, but the "
                f"denoisers are {', '.join(map(repr, stack.denoisers))}"
            )

    def outlook(self, stack: Stack) -> Iterable[Finding]:
        """Which coefficients each model gets."""
        for role, found in self._known.items():
            sources = " or ".join(item.source for item in found)
            which = "" if len(found) == 1 else "; the size of the latents decides"
            yield Finding("note", f"coefficients for the denoiser {role!r}: {sources}{which}")

    def forecast(self, stack: Stack, num_inference_steps: int) -> Forecast:
        """The steps that are skipped, where a calibration or the published times say so."""
        if self.options.threshold == 0:
            return Forecast()
        waits = self.options.start == "after_switch"
        roles = stack.contributions if waits else self._known
        rules = {
            role: self._rule(stack.denoisers[role], item[0]) if len(item) == 1 else None
            for role, item in self._known.items()
            if role in roles
        }
        scheduler = getattr(stack.pipeline, "scheduler", None)
        shift = flow_shift(getattr(scheduler, "config", {}))
        return forecast_of(rules, num_inference_steps, shift)

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._rules = {}
        if run.num_solver_steps <= FEW_STEPS:
            run.warn(f"teacache: {_little_to_skip(run.num_solver_steps)}")

    @hookimpl
    def skip_blocks(self, call: Call) -> bool | None:
        if self._rests(call):
            return None
        rule = self._rules.get(call.denoiser.role) or self._choose(call)
        state, step, history = call.memory(self, BranchState), call.step, call.history
        forced = not history or rule.forced(step.solver_step, step.run.num_solver_steps)
        if history and history[-1].step_index == step.solver_step - 1:
            state.accumulated = 0.0  # it was computed, whoever decided that
        return state.decide(rule, call.modulated_input(rule.modulated_input), forced)

    def _rests(self, call: Call) -> bool:
        """Whether there is nothing to decide: the polynomial can be negative, so 0 must say so."""
        if self.options.threshold == 0:
            return True
        return self.options.start == "after_switch" and call.step.run.switch_step is None

    def _choose(self, call: Call) -> Rule:
        role, run = call.denoiser.role, call.step.run
        chosen = choose(self._known[role], call.model_input)
        run.note(self, variant=self.variant.value)
        if chosen.caveat:
            run.warn(chosen.caveat)
        run.note(self, **{f"coefficients_{role}": chosen.source})
        rule = self._rules[role] = self._rule(call.denoiser, chosen)
        return rule

    def _rule(self, denoiser: Denoiser, coefficients: Coefficients) -> Rule:
        return self.variant.rule(denoiser.adapter, coefficients, self.options.threshold)

    def _given(self, denoiser: Denoiser, alone: bool) -> list[Coefficients]:
        by_role = self.options.coefficients
        given = by_role.get(denoiser.role) if isinstance(by_role, dict) else by_role
        if given == "auto":
            return known(denoiser, self.variant)
        if isinstance(given, str) and given.endswith(".json"):
            return [fitted(Path(given), denoiser, self.variant)]
        if isinstance(given, str):
            return [named(given, denoiser, self.variant)]
        if given is not None and (alone or isinstance(by_role, dict)):
            return [Coefficients(tuple(given), "given by the recipe")]
        raise ModelError(
            f"teacache: the recipe gives no coefficients for the denoiser {denoiser.role!r}; "
            f"models must not share them: give a mapping with a key {denoiser.role!r}, as in "
            f"`coefficients: {{transformer: [...], render: [...]}}`"
        )


def _nothing_to_decide_by(denoiser: Denoiser, variant: Variant) -> str:
    """The error for a model without the modulated input that a variant decides by."""
    if denoiser.adapter.modulated_inputs:
        return f"teacache has no {variant.value} variant for {denoiser.family!r} models"
    return (
        f"teacache decides by a modulated input, and none is known of {denoiser.family!r} models, "
        f"nor are coefficients published for them: leave teacache out, take a cache that decides "
        f"otherwise, or add an adapter"
    )


def _little_to_skip(steps: int) -> str:
    """The warning about a run with hardly anything to skip."""
    return f"{steps} steps leave little to skip; caches pay off from about 20 steps on"


def _check_name(given: str) -> None:
    if given in NAMES or given.endswith(".json"):
        return
    raise ValueError(
        f"{given!r} is neither a calibration file (.json) nor a published model"
        f"{did_you_mean(given, NAMES)} (known: {', '.join(NAMES)})"
    )
