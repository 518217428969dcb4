"""What a run does: nothing before it decides, what the report says, and no less than that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sraccel.report.model import AcceleratorRecord, Report
from sraccel.testing.case import Case, quoted
from sraccel.testing.fault import Fault
from sraccel.testing.trace import Trace, bare
from sraccel.testing.work import BY_BLOCK, Work

CLAIM = (
    'name what it takes over: `claims = frozenset({"rule", "predictor"})` for a cache, `"blocks"`, '
    '`"attention"`, `"linear"`, `"tokens"` for parts'
)


def check(case: Case, first: Trace, work: Work | None, changed: bool) -> Iterator[Fault]:
    """All that the first run of a stack shows.

    Args:
        changed: whether anything on the models is another while the stack is attached.
    """
    yield from undecided(case, first)
    yield from reported(case, first)
    yield from silent(case, first, changed)
    if work is not None:
        yield from left_out(case, first, work)


def undecided(case: Case, first: Trace) -> Iterator[Fault]:
    """Up to its first decision a run is the bare one, unless the models themselves are changed."""
    if case.subject.prepares or first.report.planned_by is not None:
        return
    differs = first.first_difference(bare(case.target))
    decided = _first_decision(first.report)
    if differs is None or (decided is not None and decided <= differs):
        return
    what = "nothing was decided" if decided is None else f"step {decided} is the first decided one"
    yield Fault(
        "identity",
        "latents as in the bare run, bit for bit, up to the first decision in the report",
        f"{what}, and the latents differ from step {differs} on",
        "change no tensor that a hook is passed in place, nor the model; what is to differ is "
        "answered by a hook",
    )


def _first_decision(report: Report) -> int | None:
    """The solver's step of the first call that the report says something of."""
    for step in report.steps:
        for call in step.calls:
            decided = (call.reused_by, call.chosen_by, call.answered_by)
            if any(decided) or any(call.skips.values()):
                return step.index if step.solver_step is None else step.solver_step
    return None


def record_of(case: Case, report: Report) -> AcceleratorRecord:
    """The subject's part of a report."""
    return next(one for one in report.accelerators if one.name == case.subject.name)


def _did(record: AcceleratorRecord, report: Report) -> bool:
    calls = record.chosen_calls + record.reused_calls + record.predicted_calls
    planned = report.planned_by == record.name
    return bool(calls + record.answered_calls or record.skipped_share) or planned


def reported(case: Case, first: Trace) -> Iterator[Fault]:
    """Its notes fit JSON, and the report comes back from JSON; unmarked hooks are warned of."""
    record = record_of(case, first.report)
    try:
        json.dumps(record.notes)
        text = first.report.to_json()
        same = json.loads(Report.from_json(text).to_json()) == json.loads(text)
        seen = None if same else "what comes back from JSON is another report"
    except Exception as error:  # whatever a serialiser says
        seen = f"notes {sorted(map(str, record.notes))}: {quoted(error)}"
    if seen is not None:
        yield Fault(
            "report",
            "notes of numbers, texts, lists and mappings by text",
            seen,
            "`run.note` numbers, not tensors: `float(value)`, `values.tolist()`",
        )
    for warning in first.report.warnings:
        if "is not marked @hookimpl" in warning and warning.startswith(case.subject.name):
            yield Fault(
                "hooks",
                "every method with a hook's name marked",
                warning,
                "put `@hookimpl` before the method, or give it another name",
            )


def silent(case: Case, first: Trace, changed: bool) -> Iterator[Fault]:
    """Where a run is the bare one and nothing was changed, a warning names the accelerator."""
    subject, report = case.subject, first.report
    record = record_of(case, report)
    if changed or "prepare_pipeline" in subject.hooks or not record.claims_speed:
        return
    same = first.first_difference(bare(case.target)) is None
    said = any(subject.name in warning for warning in report.warnings)
    if same and not said and not _did(record, report):
        yield Fault(
            "silence",
            f"a warning in the report that {subject.name} did nothing",
            f"a run of {len(report.steps)} steps is the bare one, bit for bit, and no warning "
            f"says why",
            "`run.warn(...)` in `run_finished` where nothing was done, and `Options.doubts` for "
            "what cannot come in so few steps; if it only observes: `claims_speed = False`",
        )


def left_out(case: Case, first: Trace, work: Work) -> Iterator[Fault]:
    """A call that the report says was computed ran all of the model's blocks."""
    whole_blocks = bool(case.subject.claims & BY_BLOCK)
    for call in first.calls:
        missing, of = work.missing(call, whole_blocks)
        if missing and not _says_so(call):
            where = f"step {call.step.index} ({call.branch})"
            yield Fault(
                "attribution",
                "whatever leaves work out says so, call by call",
                f"at {where} {missing} of {of} modules of the blocks did not run, and the report "
                f"says that the call was computed",
                "`call.skipped(self, share)`, with `denoiser.current_call` where a module serves; "
                "or skip by `skip_blocks` or `skip_call`",
            )
            if not case.subject.claims:
                yield unclaimed("it leaves out blocks, or parts of them, by means of its own")
            return


def _says_so(call: Any) -> bool:
    by_hook = (call.reused_by, call.answered_by)
    return any(by_hook) or any(call.skips.values())


def unclaimed(seen: str) -> Fault:
    """The fault of an accelerator that takes over what it does not claim."""
    return Fault(
        "claims",
        "a refusal when composing beside another that does the same",
        f"{seen}, and claims nothing: a cache beside it would work on what it left out",
        CLAIM,
    )


def changed_result(case: Case, first: Trace) -> Iterator[Fault]:
    """A result that differs from the bare one has somebody in the report who made it differ."""
    record = record_of(case, first.report)
    differs = first.first_difference(bare(case.target)) is not None
    others = any(
        _did(one, first.report) for one in first.report.accelerators if one.name != record.name
    )
    if differs and not (_did(record, first.report) or record.prepares or others):
        yield Fault(
            "attribution",
            "a report that says who made the result another one",
            "the result is not the bare one, and the report says that nobody did anything",
            "act through the hooks: what they answer is written into the report",
        )
