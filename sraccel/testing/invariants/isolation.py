"""Who sees what: stacks, runs, branches and models, in a loop whose inputs are given beforehand.

The inputs of a call do not depend on what was answered before. So where two runs have the same
input at a call and another answer, somebody remembered what differed earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sraccel.loop.stack import Stack
from sraccel.testing.case import Case
from sraccel.testing.fault import Fault
from sraccel.testing.subject import Switches
from sraccel.testing.target import RENDER, STEPS
from sraccel.testing.trace import (
    Outputs,
    Script,
    Visit,
    composed,
    differing,
    finished,
    looped,
    script,
)

HALF = STEPS // 2
THREE = ("cond", "uncond", "image")
MEMORY = "keep state in `call.memory(self, ...)`: the core keeps it apart, and makes it anew"


def check(case: Case) -> Iterator[Fault]:
    """All of it."""
    yield from runs(case)
    yield from stacks(case)
    if not couples_branches(case):
        yield from branches(case)
        yield from gap(case)
    yield from switch(case)


def couples_branches(case: Case) -> bool:
    """Whether it means to have one branch depend on another."""
    made = case.subject.item(case.target)
    scope = getattr(made, "scope", case.subject.kind.scope)
    return scope != "each" or "guidance" in case.subject.claims


def _stack(case: Case, *beside: Any) -> tuple[Any, Stack]:
    assert case.target.denoiser is not None
    module = case.target.denoiser()
    items = [*beside, *case.subject.items(case.target)]
    return module, composed(case.target, module, items)


def _outputs(case: Case, calls: Script, seeds: Sequence[int] = ()) -> Outputs:
    """Of a run under a stack of its own."""
    module, stack = _stack(case)
    with stack:
        return finished(looped(case.target, stack, module, calls, seeds))


def runs(case: Case) -> Iterator[Fault]:
    """A second run is as if there had been no first."""
    module, stack = _stack(case)
    with stack:
        finished(looped(case.target, stack, module, script(), [9] * STEPS))
        second = finished(looped(case.target, stack, module, script()))
    differs = differing(second, _outputs(case, script()), lambda *_: True)
    if differs:
        yield Fault(
            "runs",
            "a second run as under a new stack",
            f"after a run on other latents, it answers otherwise from {differs[0]} on",
            f"{MEMORY}; what `__init__` sets, set anew in `run_started`",
        )


def stacks(case: Case) -> Iterator[Fault]:
    """Two stacks that take steps in turn give what each gives alone."""
    one, first = _stack(case)
    other, second = _stack(case)
    alone = _outputs(case, script())
    with first, second:
        mine = looped(case.target, first, one, script())
        theirs = looped(case.target, second, other, script(), [9] * STEPS)
        for _ in range(STEPS):
            next(mine)
            next(theirs)
        found = finished(mine)
        finished(theirs)
    differs = differing(found, alone, lambda *_: True)
    if differs:
        yield Fault(
            "stacks",
            "two pipelines, a stack each, that run at the same time as each runs alone",
            f"where two stacks take steps in turn, it answers otherwise from {differs[0]} on",
            f"{MEMORY}; nothing that changes in a class, a module or a global",
        )


def branches(case: Case) -> Iterator[Fault]:
    """Another text in one of one, two or three branches changes nothing for the others."""
    for names in (("cond", "uncond"), THREE):
        usual = _outputs(case, script(branches=names))
        other = _outputs(case, script({names[-1]: 77}, names))
        differs = differing(usual, other, _of(names[:-1]))
        if not differs:
            alone = _outputs(case, script(branches=names[:1]))
            differs = differing(alone, usual, lambda *_: True)
        if differs:
            yield Fault(
                "branches",
                "a branch's answers whatever the other branches are asked",
                f"another text in {names[-1]!r}, or a branch less, changes {differs[0]}",
                f"{MEMORY}; by `call.branch`, not by the order of calls",
            )
            return


def _of(names: Sequence[str]) -> Callable[[int, str], bool]:
    """Whether a call is one of these branches."""
    return lambda _, branch: branch in names


def gap(case: Case) -> Iterator[Fault]:
    """What a branch held before guidance left it out is not used when it comes back."""
    both, alone = script()[0], script(branches=("cond",))[0]
    before = [[both[0], Visit("uncond", 77)]] * (HALF - 2)
    after = [alone] * 2 + [both] * (STEPS - HALF)
    usual = _outputs(case, [both] * (HALF - 2) + after)
    other = _outputs(case, before + after)
    yield from _stale(
        differing(usual, other, lambda step, branch: step >= HALF and branch == "uncond"),
        "a branch that was left out for two steps",
    )


def switch(case: Case) -> Iterator[Fault]:
    """What was kept of one model is not used with another."""
    if case.subject.claims & {"denoiser", "steps"}:
        return
    usual = _switched(case, [0] * HALF + [1] * (STEPS - HALF))
    other = _switched(case, [9] * HALF + [1] * (STEPS - HALF))
    yield from _stale(
        differing(usual, other, lambda step, _: step >= HALF), "a switch to another model"
    )


def _switched(case: Case, seeds: list[int]) -> Outputs:
    module, stack = _stack(case, Switches(case.target.partner()))
    assert RENDER in stack.denoisers
    with stack:
        return finished(looped(case.target, stack, module, script(), seeds))


def _stale(differs: list[str], after: str) -> Iterator[Fault]:
    if differs:
        yield Fault(
            "freshness",
            f"nothing of before is used after {after}",
            f"other inputs before it change the answer of {differs[0]}",
            f"{MEMORY} after a switch or a gap; ask for it in every step",
        )
