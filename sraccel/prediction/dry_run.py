"""Which calls a run makes, found out without computing any: each is answered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.composer import compose
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hookspecs import hookimpl
from sraccel.report.model import CallRecord

if TYPE_CHECKING:
    import torch

    from sraccel.comparison.timed_call import TimedCall
    from sraccel.loop.call import Call
    from sraccel.loop.stack import Stack
    from sraccel.report.model import Report

DESCRIPTION = "counting calls"


class DryRun(Accelerator):
    """Answers every call with its own input, so that no model is evaluated."""

    name = "dry-run"

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor:
        return call.model_input * 0.5


def dry_run(call: TimedCall, pipe: Any, stack: Stack) -> Report:
    """The report of a bare run, but for steps that an accelerator of the stack plans.

    Its calls have no seconds: they are what a loop asks for.

    Args:
        call: of the pipeline.
        pipe: a pipeline with weights.
        stack: of the same pipeline; it is not attached.
    """
    planners = [item for item in stack.accelerators if item.name in stack.hooks.who("plan_steps")]
    with compose(pipe, [*planners, DryRun()], adapters=stack.adapters) as dry:
        dry.logs_warnings = False
        call(DESCRIPTION)
    report = dry.report
    for step in report.steps:
        step.seconds = None
        step.calls = [_asked(call) for call in step.calls]
    return report


def _asked(call: CallRecord) -> CallRecord:
    return CallRecord(branch=call.branch, requested=call.requested, denoiser=call.requested)
