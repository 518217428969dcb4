"""What an accelerator did wrong, in words: which invariant, expected, seen, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

INVARIANTS = {
    "composing": "composing a recipe touches nothing; only attaching does",
    "hooks": "hooks raise nothing, answer what they may answer, and are marked",
    "refusal": "what cannot work is refused when composing, not in a run",
    "models": "a model that it brings is whole: all weights are there, and finite",
    "identity": "where it is disabled, or has not decided yet, nothing differs from the bare run",
    "restoration": "leaving restores the pipeline: normally, by exception, by Ctrl-C",
    "release": "a pipeline that is dropped is freed, and no thread is left behind",
    "copies": "a copy of an attached pipeline, or a saved model, is its plain self",
    "signatures": "what others inspect and call while it is attached looks as it did",
    "runs": "a run sees nothing of the run before, however that ended",
    "stacks": "two stacks in one process see nothing of each other",
    "branches": "guidance branches see nothing of each other",
    "freshness": "nothing that was kept before a model switch, or a gap, is used after it",
    "evaluations": "a solver's evaluations of the model are not taken for steps",
    "claims": "what it takes over is claimed, so that the composer can refuse a second one",
    "composition": "beside each built-in, in each order, it runs, or is refused when composing",
    "attribution": "the report names it wherever work was left out or the result was changed",
    "silence": "where it does nothing, a warning says so",
    "report": "what it notes fits JSON, and the report comes back from JSON unchanged",
}
"""Every invariant that is checked, and what it says."""


@dataclass(frozen=True)
class Fault:
    """One thing that an accelerator does wrong.

    Attributes:
        invariant: a key of `INVARIANTS`.
        expected: what should have been.
        seen: what was.
        remedy: what to do.
        targets: on which pipelines or models it was seen.
    """

    invariant: str
    expected: str
    seen: str
    remedy: str
    targets: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" (on {', '.join(self.targets)})" if self.targets else ""
        return (
            f"{self.invariant}: {INVARIANTS[self.invariant]}{where}\n"
            f"    expected: {self.expected}\n"
            f"    seen:     {self.seen}\n"
            f"    to do:    {self.remedy}"
        )


class BehaviourError(AssertionError):
    """An accelerator does not behave; every fault that was found is in the message.

    Attributes:
        accelerator: its name.
        faults: what it does wrong.
    """

    def __init__(self, accelerator: str, faults: Sequence[Fault]) -> None:
        self.accelerator = accelerator
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        listed = "\n\n".join(map(str, faults))
        super().__init__(f"the accelerator {accelerator!r} has {count}\n\n{listed}")


def merged(found: Iterable[tuple[str, Fault]]) -> list[Fault]:
    """Faults with the targets that each was seen on; one that was seen on several is one."""
    known: dict[tuple[str, str, str], Fault] = {}
    for target, fault in found:
        key = fault.invariant, fault.expected, fault.remedy
        first = known.setdefault(key, fault)
        known[key] = replace(first, targets=tuple(dict.fromkeys((*first.targets, target))))
    order = list(INVARIANTS)
    return sorted(known.values(), key=lambda fault: order.index(fault.invariant))
