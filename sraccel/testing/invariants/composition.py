"""Beside each built-in, in each order: it runs as it should, or is refused when composing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from sraccel.errors import ConflictError, ModelError, SraccelError
from sraccel.loop.stack import Stack
from sraccel.testing.case import FAILURES, Case, quoted
from sraccel.testing.fault import Fault
from sraccel.testing.invariants.decisions import CLAIM
from sraccel.testing.invariants.lifecycle import made
from sraccel.testing.snapshot import Snapshot, some
from sraccel.testing.target import Target
from sraccel.testing.trace import Trace, bare, run

IDENTITY = (0.0, 0.0, 0.0, 1.0, 0.0)
"""Coefficients with which TeaCache accumulates the change itself."""
Item = dict[str, Any]


def _teacache(target: Target, threshold: float) -> Item:
    coefficients = {role: list(IDENTITY) for role in target.all_roles}
    return {"use": "teacache", "threshold": threshold, "coefficients": coefficients}


def _srdiffusion(target: Target, switch_step: int) -> Item:
    return {"use": "srdiffusion", "render": target.partner(), "switch_step": switch_step}


BUILT_IN: dict[str, Callable[[Target], Item]] = {
    "teacache": lambda target: _teacache(target, 0.6),
    "srdiffusion": lambda target: _srdiffusion(target, 3),
    "sageattention": lambda target: {"use": "sageattention", "kernel": "emulated"},
    "forecast": lambda target: {"use": "forecast", "order": 1},
    "schedule": lambda target: {"use": "schedule", "steps": [0, 1, 3, 4]},
    "feedback": lambda target: {"use": "feedback", "tolerance": 3.0},
    "steps": lambda target: {"use": "steps", "number": 4, "placement": "uniform"},
}
"""Each accelerator that comes with sraccel, with options under which it acts on a tiny pipeline."""
IDLE: dict[str, Callable[[Target], Item]] = {
    "teacache": lambda target: _teacache(target, 0.0),
    "srdiffusion": lambda target: _srdiffusion(target, 999),
}
"""Some of them with options under which they do nothing."""


def check(case: Case) -> Iterator[Fault]:
    """Each pair in both orders; then beside neighbours that do nothing."""
    pipe = made(case)
    before = Snapshot.of(pipe, case.leaves)
    for name, item in BUILT_IN.items():
        if name != case.subject.name:
            yield from beside(case, pipe, name, item, before)
    found = run(case.target, pipe)
    if found.first_difference(bare(case.target)) is not None:
        yield _left_changed("each built-in", "a bare run gives other latents than before")
    yield from idle_neighbours(case)


def beside(
    case: Case, pipe: Any, name: str, item: Callable[[Target], Item], before: Snapshot
) -> Iterator[Fault]:
    """One built-in, after the accelerator and before it."""
    refusals: list[str | None] = []
    for first in (False, True):
        stack, refusal = _composed(case, pipe, item, first)
        refusals.append(refusal)
        if stack is None:
            continue
        failed = False
        for fault in _runs(case, pipe, stack, name):
            failed = True
            yield fault
        changes = some(before.changes(Snapshot.of(pipe)))
        if changes:
            yield _left_changed(name, changes)
        if failed or changes:
            return
    yield from _one_order(case, name, refusals)


def _composed(
    case: Case, pipe: Any, item: Callable[[Target], Item], first: bool
) -> tuple[Stack | None, str | None]:
    """The stack, or why there is none."""
    with torch.random.fork_rng(devices=[]):
        neighbour = item(case.target)
    try:
        return case.stack(pipe, neighbour, first=first), None
    except (ConflictError, ModelError) as error:
        return None, quoted(error)


def _runs(case: Case, pipe: Any, stack: Stack, name: str) -> Iterator[Fault]:
    expected = f"two runs beside {name} with the same result, or a refusal when composing"
    try:
        with stack:
            one, other = (run(case.target, pipe, stack) for _ in range(2))
    except ConflictError as error:
        yield Fault(
            "claims",
            "a refusal when composing, where two cannot go together",
            f"beside {name} it is refused in the run only ({quoted(error)})",
            f"{CLAIM}; or raise it in `check_stack`",
        )
        return
    except FAILURES as error:
        ours = getattr(error, "accelerator", None) in (None, case.subject.name)
        yield _failed(expected, f"beside {name}: {quoted(error)}", ours or _says(case, error))
        return
    if one.first_difference(other) is not None:
        seen = f"beside {name} the same call gives other latents the second time"
        yield _failed(expected, seen, True)


def _says(case: Case, error: BaseException) -> bool:
    return isinstance(error, SraccelError) and repr(case.subject.name) in str(error)


def _failed(expected: str, seen: str, ours: bool) -> Fault:
    remedy = "look at what it assumes of the stack: which models, which branches, who skips"
    if not ours:
        remedy = "it is the other one that fails, on what this one has changed or answered"
    return Fault("composition", expected, seen, remedy)


def _left_changed(name: str, changes: str) -> Fault:
    return Fault(
        "restoration",
        f"the pipeline as it was after a stack with {name}",
        changes,
        "undo what was done in the context of `prepare_denoiser` or `prepare_pipeline`, and on "
        "each of the stack's denoisers",
    )


def _one_order(case: Case, name: str, refusals: list[str | None]) -> Iterator[Fault]:
    """What is refused in one order alone says so by a claim's order."""
    given = [refusal for refusal in refusals if refusal is not None]
    if len(given) == 1 and "must come after" not in given[0]:
        yield Fault(
            "claims",
            f"the same answer in both orders beside {name}, or a claim that says which comes first",
            f"refused in one order alone: {given[0]}",
            '`Claim(..., before=("compilation",))` or `after=...`',
        )


def idle_neighbours(case: Case) -> Iterator[Fault]:
    """A neighbour that does nothing changes nothing of what it does."""
    alone: Trace | None = None
    for name, item in IDLE.items():
        if name == case.subject.name:
            continue
        pipe = made(case)
        stack, _ = _composed(case, pipe, item, False)
        if stack is None:
            continue
        if alone is None:
            other = made(case)
            with case.stack(other) as own:
                alone = run(case.target, other, own)
        try:
            with stack:
                differs = run(case.target, pipe, stack).first_difference(alone)
        except ConflictError:
            continue  # said already, where it acts
        if differs is not None:
            yield Fault(
                "composition",
                f"beside {name}, set to do nothing, the same result as alone",
                f"the latents differ from step {differs} on",
                "decide by the step and the call, not by who else is in the recipe",
            )
