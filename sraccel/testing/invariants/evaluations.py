"""Solvers that evaluate the model twice a step: evaluations are not steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sraccel.testing.case import Case
from sraccel.testing.fault import Fault
from sraccel.testing.invariants.lifecycle import made
from sraccel.testing.trace import run

LEAST = 3
"""Pairs of which one evaluation alone was skipped, from which on that is no accident."""


def check(case: Case) -> Iterator[Fault]:
    """A rule does not skip the same evaluation of each pair, and never the other one."""
    pipe = made(case)
    with case.stack(pipe) as stack:
        report = run(case.target, pipe, stack, steps=10).report
    skipped: dict[int, dict[int, bool]] = {}
    for step in report.steps:
        reused = any(call.reused_by == case.subject.name for call in step.calls)
        skipped.setdefault(step.solver_step, {})[step.evaluation] = reused
    yield from _one_sided([pair for pair in skipped.values() if len(pair) > 1])


def _one_sided(pairs: list[Any]) -> Iterator[Fault]:
    whole = sum(all(pair.values()) for pair in pairs)
    for evaluation, name in enumerate(("first", "second")):
        alone = sum(pair[evaluation] and not pair[1 - evaluation] for pair in pairs)
        if alone >= LEAST and not whole:
            yield Fault(
                "evaluations",
                "a solver's step skipped or computed with both of its evaluations",
                f"of {len(pairs)} steps of Heun's method it skipped the {name} evaluation alone in "
                f"{alone}, and in none both",
                "count by `call.step.solver_step`, not by `step.index` or by calls; what is kept "
                "in `call.memory` is kept for each evaluation",
            )
            return
