"""One report of two runs: a sketch pipeline's, and a render pipeline's that continues it."""

from __future__ import annotations

from typing import Any

from sraccel.report.model import AcceleratorRecord, HandoffRecord, Report, StepRecord, Timing
from sraccel.report.steps import branches


def joined_report(sketch: Report, render: Report, handoff: HandoffRecord) -> Report:
    """The two runs as one, with the hand-off between them; its seconds count as the loop's.

    The loop is taken to have called for the sketch model throughout, so that its switch and the
    render model's calls read as in a run of one pipeline.
    """
    taken = len(sketch.steps)
    joined = sketch.model_copy(deep=True)
    joined.outcome = render.outcome
    joined.model = {**sketch.model, **render.model}
    joined.num_inference_steps = taken + render.num_inference_steps
    joined.switch_step = taken if render.steps else None
    names = _branch_names(sketch.steps, render.steps)
    requested = sketch.steps[-1].calls[-1].requested
    joined.steps += [_continued(step, taken, requested, names) for step in render.steps]
    joined.accelerators = [
        _merged(one, other)
        for one, other in zip(sketch.accelerators, render.accelerators, strict=True)
    ]
    joined.accelerated, joined.handoff = _timed(sketch, render, handoff)
    joined.warnings = [
        f"{who} pipeline: {warning}"
        for who, report in (("sketch", sketch), ("render", render))
        for warning in report.warnings
    ]
    joined.peak_memory_bytes = _greater(sketch.peak_memory_bytes, render.peak_memory_bytes)
    return joined


def _branch_names(sketch: list[StepRecord], render: list[StepRecord]) -> dict[str, str]:
    """The sketch pipeline's names for the render pipeline's branches, which may have none."""
    ours, theirs = branches(sketch), branches(render)
    return dict(zip(theirs, ours, strict=True)) if len(ours) == len(theirs) else {}


def _continued(step: StepRecord, taken: int, requested: str, names: dict[str, str]) -> StepRecord:
    calls = [
        call.model_copy(
            update={"requested": requested, "branch": names.get(call.branch, call.branch)}
        )
        for call in step.calls
    ]
    return step.model_copy(update={"index": taken + step.index, "calls": calls})


def _timed(
    sketch: Report, render: Report, handoff: HandoffRecord
) -> tuple[Timing | None, HandoffRecord]:
    parts = [report.accelerated.seconds for report in (sketch, render) if report.accelerated]
    seconds = sum(parts) + (handoff.seconds or 0.0)
    share = handoff.seconds / seconds if handoff.seconds and seconds else None
    timing = Timing(seconds=seconds, repeats=[seconds])
    return timing, handoff.model_copy(update={"share": share})


def _merged(one: AcceleratorRecord, other: AcceleratorRecord) -> AcceleratorRecord:
    notes = {**other.notes, **one.notes}
    for key in one.notes.keys() & other.notes.keys():
        notes[key] = _both(one.notes[key], other.notes[key])
    prepared = [time for time in (one.prepare_seconds, other.prepare_seconds) if time is not None]
    return one.model_copy(
        update={
            "prepare_seconds": sum(prepared) if prepared else None,
            "chosen_calls": one.chosen_calls + other.chosen_calls,
            "reused_calls": one.reused_calls + other.reused_calls,
            "cache_bytes": _greater(one.cache_bytes, other.cache_bytes),
            "notes": notes,
        }
    )


def _both(one: Any, other: Any) -> Any:
    """What an accelerator noted in both runs: once if it is the same, by role if it is not."""
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict) and not one.keys() & other.keys():
        return {**one, **other}
    return {"sketch": one, "render": other}


def _greater(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
