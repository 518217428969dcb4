"""Decisions put into the calls that a loop asks for: the steps of a run that was not made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sraccel.comparison.prediction import kinds_in
from sraccel.report.model import AcceleratorRecord, Report, StepRecord

if TYPE_CHECKING:
    from sraccel.comparison.costs import Kind
    from sraccel.loop.accelerator import Accelerator
    from sraccel.loop.stack import Stack
    from sraccel.prediction.decisions import Decisions


def replayed(asked: Report, stack: Stack, decisions: Decisions) -> Report:
    """The report of the run that these decisions make, without seconds.

    Args:
        asked: of the dry run.
        stack: whose accelerators act.
        decisions: of that stack.
    """
    report = asked.model_copy(deep=True)
    report.accelerators = [record_of(stack, one) for one in stack.accelerators]
    switch_models(report, decisions)
    skip_steps(report, decisions)
    return report


def record_of(stack: Stack, accelerator: Accelerator) -> AcceleratorRecord:
    """What a report says of an accelerator that was not run."""
    return AcceleratorRecord(
        name=accelerator.name,
        claims_speed=accelerator.claims_speed,
        prepares=accelerator.name in stack.hooks.who("prepare_denoiser"),
    )


def switch_models(report: Report, decisions: Decisions) -> None:
    """Let the model that is brought take the steps from the switch on."""
    if decisions.switch is None:
        return
    report.switch_step = decisions.switch if decisions.switch < len(report.steps) else None
    for step in report.steps[decisions.switch :]:
        for call in step.calls:
            call.denoiser, call.chosen_by = decisions.role, decisions.chosen_by


def skip_steps(report: Report, decisions: Decisions) -> None:
    """Skip each model's steps that are said to be skipped."""
    for role in decisions.skips:
        own = {step.index: step for step in report.steps if _denoiser(step) == role}
        for index in decisions.skipped(role, sorted(own)):
            for call in own[index].calls:
                call.reused, call.reused_by = True, decisions.reused_by
                call.level = decisions.level


def _denoiser(step: StepRecord) -> str | None:
    return step.calls[0].denoiser if step.calls else None


def skipped_shares(report: Report) -> dict[str, float]:
    """The share of each denoiser's calls that are skipped, by role."""
    calls = [call for step in report.steps for call in step.calls]
    own = Counter(call.denoiser for call in calls)
    reused = Counter(call.denoiser for call in calls if call.reused)
    return {role: reused[role] / count for role, count in own.items()}


def counts(report: Report, present: Sequence[AcceleratorRecord]) -> Counter[Kind]:
    """How many calls of each kind a run makes if only these accelerators act."""
    return Counter(kinds_in(report, present))
