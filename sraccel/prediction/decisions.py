"""What a run would decide: when it switches models, and which steps it skips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sraccel.check.third_party import asked
from sraccel.loop.denoiser import denoiser_of
from sraccel.loop.forecast import evenly
from sraccel.prediction.switches import UsualSwitch, usual_switch
from sraccel.report.words import share as percent

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.forecast import Forecast, Range, Skips
    from sraccel.loop.stack import Stack

Level = Literal["call", "blocks"]


@dataclass(frozen=True)
class Given:
    """Decisions that the user gives; None or empty: the accelerators are asked.

    Attributes:
        switch: first step of the model that is brought, 0-based.
        skipped: share of a denoiser's steps that is skipped, 0 to 1, by role; `""` is every one.
        source: where they come from.
    """

    switch: int | None = None
    skipped: Mapping[str, float] = field(default_factory=dict)
    source: str = "given"


@dataclass
class Decisions:
    """The decisions of a stack in a run.

    Attributes:
        steps: of the run.
        switch: first step of the model that is brought, 0-based; None: there is none.
        role: of that model.
        chosen_by: the accelerator that switches.
        switch_range: the earliest and the latest it may come, where that is not known.
        skips: which of a denoiser's steps are skipped, by role.
        level: what of a step is skipped.
        reused_by: the accelerator that skips.
        assumed: what this rests on, in words.
        left_out: what is not known, and counted as no gain, in words.
    """

    steps: int
    switch: int | None = None
    role: str = ""
    chosen_by: str = ""
    switch_range: tuple[int, int] | None = None
    skips: dict[str, Skips] = field(default_factory=dict)
    level: Level = "blocks"
    reused_by: str = ""
    assumed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def skipped(self, role: str, taken: Sequence[int]) -> set[int]:
        """Those of the steps that a denoiser takes that are skipped; never its first one."""
        skips = self.skips.get(role)
        return {*skips(taken)} & {*taken[1:]} if skips is not None and taken else set()


def decisions_of(stack: Stack, model: str, steps: int, given: Given) -> Decisions:
    """Ask the accelerators of a stack, whose models may be without weights.

    Args:
        stack: composed with the model.
        model: its name, for switches that were measured.
        steps: of the run.
        given: goes before what accelerators say.

    Raises:
        PluginError: an accelerator's forecast cannot be made, or is of a model that is not there.
    """
    found = Decisions(steps)
    for accelerator in stack.accelerators:
        forecast = _forecast(accelerator, stack, steps)
        hooks = stack.hooks.of(accelerator.name)
        if "select_denoiser" in hooks:
            _take_switch(found, accelerator, forecast, stack, model, given)
        if {"skip_call", "skip_blocks"} & {*hooks}:
            _take_skips(found, accelerator, forecast, stack, hooks, given)
        if "predict" in hooks:
            found.left_out.append(f"what the predictions of {accelerator.name} take")
        elif forecast is None and not _is_measured(hooks):
            found.left_out.append(f"what {accelerator.name} gains or costs")
    return found


def _is_measured(hooks: Sequence[str]) -> bool:
    """Whether what an accelerator does is measured, or taken from the run's plan."""
    return bool({"prepare_denoiser", "plan_steps"} & {*hooks})


def _forecast(accelerator: Accelerator, stack: Stack, steps: int) -> Forecast | None:
    with asked(accelerator.name, "forecast"):
        forecast = accelerator.forecast(stack, steps)
        for role in (*forecast.taken, *forecast.skips) if forecast is not None else ():
            denoiser_of(stack.denoisers, role, asked_by=accelerator.name)
    return forecast


def _take_switch(
    found: Decisions,
    accelerator: Accelerator,
    forecast: Forecast | None,
    stack: Stack,
    model: str,
    given: Given,
) -> None:
    brought = list(forecast.taken) if forecast is not None else list(stack.contributions)
    if not brought:
        found.left_out.append(f"which model takes which step ({accelerator.name})")
        return
    found.role, found.chosen_by = brought[0], accelerator.name
    taken = forecast.taken[found.role] if forecast is not None else (0.0, float(found.steps))
    first, last = _switches(taken, found.steps)
    if given.switch is not None:
        found.switch = min(given.switch, found.steps)
        found.assumed.append(f"a switch at step {found.switch} ({given.source})")
    elif first == last:
        found.switch = first
        found.assumed.append(forecast.assumes if forecast is not None else "")
    else:
        usual = usual_switch(model, _options(accelerator), _skips(stack))
        found.switch = min(max(usual.step_of(found.steps), first), last)
        found.switch_range = (first, last)
        found.assumed.append(_of_usual(found.switch, usual))


def _switches(taken: Range, steps: int) -> tuple[int, int]:
    """Earliest and latest first step, of the steps that are taken after it."""
    least, most = taken
    return round(steps - most), round(steps - least)


def _options(accelerator: Accelerator) -> Mapping[str, object]:
    options: dict[str, object] = dict(accelerator.options)
    return options


def _skips(stack: Stack) -> bool:
    return bool(stack.hooks.who("skip_call", "skip_blocks"))


def _of_usual(switch: int, usual: UsualSwitch) -> str:
    return f"a switch at step {switch}, where the run decides ({usual.source})"


def _take_skips(
    found: Decisions,
    accelerator: Accelerator,
    forecast: Forecast | None,
    stack: Stack,
    hooks: Sequence[str],
    given: Given,
) -> None:
    found.reused_by = accelerator.name
    found.level = _level(accelerator, hooks)
    everywhere = given.skipped.get("")
    told = {role: given.skipped.get(role, everywhere) for role in stack.denoisers}
    shares = {role: share for role, share in told.items() if share is not None}
    found.skips = {
        **(forecast.skips if forecast is not None else {}),
        **{role: evenly(share) for role, share in shares.items()},
    }
    if shares:
        words = ", ".join(f"{percent(share)} of {role}" for role, share in shares.items())
        found.assumed.append(f"{accelerator.name} skips {words} ({given.source})")
    if forecast is not None and forecast.assumes and shares.keys() != found.skips.keys():
        found.assumed.append(forecast.assumes)
    missing = [role for role in stack.denoisers if role not in found.skips]
    if forecast is None or (forecast.unknown and missing and not given.skipped):
        found.left_out.append(
            forecast.unknown if forecast is not None else f"what {accelerator.name} skips"
        )


def _level(accelerator: Accelerator, hooks: Iterable[str]) -> Level:
    can: list[Level] = []
    if "skip_call" in hooks and "call" in accelerator.levels:
        can.append("call")
    if "skip_blocks" in hooks and "blocks" in accelerator.levels:
        can.append("blocks")
    return can[0] if len(can) == 1 else "blocks"
