"""`check_accelerator`: every invariant that applies, on every target that an accelerator takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError, ModelError
from sraccel.testing.fault import BehaviourError, Fault, merged
from sraccel.testing.target import Target, standard_targets

if TYPE_CHECKING:
    from sraccel.testing.case import Case
    from sraccel.testing.subject import Entry, Idle


@dataclass(frozen=True)
class Checked:
    """What was checked of an accelerator that behaves.

    Attributes:
        accelerator: its name.
        targets: what it was tried on.
        refused: why it does not go with the others, by target.
    """

    accelerator: str
    targets: tuple[str, ...]
    refused: Mapping[str, str]

    def __str__(self) -> str:
        tried = ", ".join(self.targets)
        refused = [f"\n  not on {name}: {why}" for name, why in self.refused.items()]
        return f"{self.accelerator} behaves on {tried}{''.join(refused)}"


def check_accelerator(
    accelerator: Entry,
    *,
    options: Mapping[str, Any] | None = None,
    idle: Idle = None,
    leaves: Iterable[str] = (),
    targets: Sequence[Target] | None = None,
) -> Checked:
    """Try an accelerator on a toy and on tiny real pipelines, and say everything it does wrong.

    Args:
        accelerator: a class; an item of a recipe (a name, a mapping with `use`, options); or a
            function of a `Target` that returns one of these, or a new instance: for options that
            depend on the model (`target.partner()` is a second model, `target.all_roles` are the
            roles of both).
        options: of a class or an item; without any, those of `Options.example()`. Choose such that
            it acts within six steps.
        idle: options under which it does nothing, or a function of a `Target` that gives them: a
            run must then be the bare one, bit for bit.
        leaves: attributes that torch or diffusers leave on modules whose change they undo.
        targets: what to try it on, instead of `standard_targets()`.

    Returns:
        What it was tried on. An accelerator that a target's model does not suit, and that says so
        when it is composed, is not tried on that.

    Raises:
        BehaviourError: it does not behave; the message has every fault.
        RecipeError: the options are not valid.
        TypeError: an instance was given.
    """
    import torch

    from sraccel.testing.case import Case
    from sraccel.testing.subject import Subject, idle_options

    found: list[tuple[str, Fault]] = []
    tried, refused, name = [], {}, "?"
    for target in standard_targets() if targets is None else targets:
        with torch.random.fork_rng(devices=[]):
            subject = Subject(accelerator, options, target)
            name = subject.name
            case = Case(subject, target, idle_options(idle, target), frozenset(leaves))
            try:
                found += [(target.name, fault) for fault in _faults(case)]
                tried.append(target.name)
            except (ConflictError, ModelError) as error:
                refused[target.name] = " ".join(str(error).split())
    if not tried:
        found = [("", _nowhere(refused))]
    if found:
        raise BehaviourError(name, merged(found))
    return Checked(name, tuple(tried), refused)


def _nowhere(refused: Mapping[str, str]) -> Fault:
    return Fault(
        "refusal",
        "a target on which it runs",
        "; ".join(f"{target}: {why}" for target, why in refused.items()),
        "give options, or `targets` of the model families that it is made for",
    )


def _faults(case: Case) -> Iterator[Fault]:
    """Those on one target; the first run decides whether the rest can be asked.

    Raises:
        ConflictError, ModelError: it is refused when composing.
    """
    from sraccel.testing import case as cases

    unusable = list(_unusable(case))
    if unusable:
        yield from unusable
        return
    for when, check in _checks(case):
        faults = list(cases.guarded(check(case), when))
        yield from faults
        if any(fault.invariant in ("hooks", "refusal") for fault in faults):
            return


def _unusable(case: Case) -> Iterator[Fault]:
    """The faults with which nothing can be run.

    Raises:
        ConflictError, ModelError: it is refused on this target, when composing or attaching.
    """
    from sraccel.testing.case import FAILURES, fault_of
    from sraccel.testing.invariants.lifecycle import brought

    try:
        stack = case.composed()
        broken = list(brought(stack))
        yield from broken
        if not broken and not stack.attached:
            stack.attach()
        stack.detach()
    except (ConflictError, ModelError):
        raise
    except FAILURES as error:
        yield fault_of(error, "when composing or attaching")


Check = Callable[["Case"], Iterator[Fault]]


def _checks(case: Case) -> Iterator[tuple[str, Check]]:
    """The checks of a target, and when they are."""
    from sraccel.testing.invariants import (
        composition,
        copies,
        evaluations,
        isolation,
        lifecycle,
    )

    target = case.target
    if target.denoiser is not None:
        yield "in a loop that steps the denoiser itself", isolation.check
    if target.pipeline is None:
        return
    yield "in a pipeline's call", lifecycle.check
    yield "in a pipeline's call under the idle options", lifecycle.idle
    if target.evaluations > 1:
        yield "under a solver that evaluates the model twice a step", evaluations.check
    if target.thorough:
        yield "while a pipeline is copied, saved and dropped", copies.check
        yield "beside the built-ins", composition.check
