"""One report of a run that two processes made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sraccel.report.model import AcceleratorRecord, Report, Timing


def whole_report(first: Report, second: Report) -> Report:
    """Both halves as one run; steps have the run's numbers in either.

    Seconds are those of both loops, without what lay in between.
    """
    whole = second.model_copy(deep=True)
    whole.steps = [*first.steps, *whole.steps]
    took_steps = {step.denoiser for step in first.steps}  # the other half may have an outline
    whole.model = {**second.model, **{role: first.model[role] for role in took_steps}}
    whole.accelerators = [
        _merged(one, other)
        for one, other in zip(first.accelerators, second.accelerators, strict=True)
    ]
    whole.accelerated = _timing(first, second)
    whole.peak_memory_bytes = max(
        (item for item in (first.peak_memory_bytes, second.peak_memory_bytes) if item is not None),
        default=None,
    )
    whole.warnings = _warnings(first, second, whole)
    if first.environment != second.environment:
        whole.warnings.append(_elsewhere(first, second))
    if first.versions != second.versions:
        whole.warnings.append("the two halves of the run were made with other versions of packages")
    return whole


def _warnings(first: Report, second: Report, whole: Report) -> list[str]:
    """Those of both halves; that an accelerator skipped nothing is said of the whole run."""
    idle = {
        f"{record.name} skipped nothing in {{}} steps": not record.reused_calls
        for record in whole.accelerators
    }
    halves = {text.format(len(report.steps)): text for text in idle for report in (first, second)}
    found: dict[str, None] = {}
    for warning in (*first.warnings, *second.warnings):
        text = halves.get(warning)
        if text is None:
            found[warning] = None
        elif idle[text]:
            found[text.format(len(whole.steps))] = None
    return list(found)


def _elsewhere(first: Report, second: Report) -> str:
    places = [str(report.environment.get("device", "unknown")) for report in (first, second)]
    return f"the steps before the switch ran on {places[0]}, those after it on {places[1]}"


def _timing(first: Report, second: Report) -> Timing | None:
    from sraccel.report.model import Timing

    if first.accelerated is None or second.accelerated is None:
        return None
    seconds = first.accelerated.seconds + second.accelerated.seconds
    return Timing(seconds=seconds, repeats=[seconds])


def _merged(one: AcceleratorRecord, other: AcceleratorRecord) -> AcceleratorRecord:
    sizes = [size for size in (one.cache_bytes, other.cache_bytes) if size is not None]
    prepared = [time for time in (one.prepare_seconds, other.prepare_seconds) if time is not None]
    return other.model_copy(
        update={
            "prepare_seconds": sum(prepared) if prepared else None,
            "chosen_calls": one.chosen_calls + other.chosen_calls,
            "reused_calls": one.reused_calls + other.reused_calls,
            "cache_bytes": max(sizes, default=None),
            "notes": _notes(one.notes, other.notes),
        }
    )


def _notes(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What either half noted; of what differs, tallies are added up, and of the rest both stand."""
    both = one.keys() & other.keys()
    return {**one, **other, **{name: _note(one[name], other[name]) for name in both}}


def _note(one: Any, other: Any) -> Any:
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **other, **{key: _tally(one[key], other[key]) for key in one.keys() & other}}
    return {"first": one, "second": other}


def _tally(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **other, **{key: _tally(one[key], other[key]) for key in one.keys() & other}}
    numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
    return one + other if numbers else other
