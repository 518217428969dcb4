"""The steps of a run in words: what to call branches and models, a sentence, a table."""

from __future__ import annotations

import string
from itertools import groupby
from typing import TYPE_CHECKING

from sraccel.report.words import DASH, digits, duration, finite, listed

if TYPE_CHECKING:
    from sraccel.report.model import CallRecord, Report, StepRecord


def branches(steps: list[StepRecord]) -> list[str]:
    """Names of all branches, in order of appearance."""
    return list(dict.fromkeys(call.branch for step in steps for call in step.calls))


def role_letters(steps: list[StepRecord]) -> dict[str, str]:
    """A capital for each role that denoised, by order of appearance: `R` for `render`."""
    letters: dict[str, str] = {}
    for role in dict.fromkeys(call.denoiser for step in steps for call in step.calls):
        # `transformer_2` beside `transformer` is 2, not R, which is then left for `render`.
        candidates = role[:1].upper() + role[-1:] + role.upper() + string.ascii_uppercase
        free = (letter for letter in candidates if letter.isalnum())
        letters[role] = next((letter for letter in free if letter not in letters.values()), "?")
    return letters


def summary(report: Report) -> str:
    """The drawing in words."""
    steps = report.steps
    stretches = [
        f"{role} took {stretch_of(list(stretch))}"
        for role, stretch in groupby(steps, key=lambda step: step.denoiser)
    ]
    parts = [listed(stretches) if len(stretches) <= 4 else f"{len(stretches) - 1} switches"]
    for branch in branches(steps):
        calls = [call for step in steps for call in step.calls if call.branch == branch]
        reused = sum(call.reused for call in calls)
        parts.append(f"{branch}: {len(calls) - reused} computed, {reused} reused")
    return f"{len(steps)} steps. " + ". ".join(parts) + "."


def stretch_of(steps: list[StepRecord]) -> str:
    """Which steps follow each other here: `steps 0 to 24`."""
    first, last = steps[0].index, steps[-1].index
    return f"step {first}" if first == last else f"steps {first} to {last}"


def call_in_words(call: CallRecord) -> str:
    """What a call was: `render reused by teacache, 1.1 ms`."""
    if call.answered_by is not None:
        did = f"answered by {call.answered_by}"
    elif call.reused:
        did = "reused" + (f" by {call.reused_by}" if call.reused_by else "")
    else:
        did = "computed"
    time = "" if finite(call.seconds) is None else f", {duration(call.seconds)}"
    return f"{call.denoiser} {did}{time}"


def table_rows(report: Report, names: list[str]) -> list[list[str]]:
    """A row of cells for each step; `names` are the run's branches."""
    before = [None, *(step.denoiser for step in report.steps)]
    return [
        _row(step, names, list(report.columns), switched=previous not in (None, step.denoiser))
        for step, previous in zip(report.steps, before, strict=False)
    ]


def _row(step: StepRecord, names: list[str], columns: list[str], *, switched: bool) -> list[str]:
    calls = {call.branch: call_in_words(call) for call in step.calls}
    return [
        str(step.index),
        digits(step.timestep),
        digits(step.sigma),
        f"{step.denoiser} (switch)" if switched else step.denoiser,
        *(calls.get(branch, "no call") for branch in names),
        *(digits(step.measured.get(column)) for column in columns),
        duration(step.seconds, missing=DASH),
    ]
