"""Refusing to go on with a run where something is not what it was: both values are said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sraccel.errors import HandoverError
from sraccel.handover.arguments import effective, generators_of, references_of
from sraccel.handover.scheduler_state import configuration
from sraccel.handover.sketching import model_facts, recipe_content
from sraccel.text import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sraccel.handover.handover import Handover
    from sraccel.loop.stack import Stack
    from sraccel.report.origin import Source

MISSING = "nothing"
Differences = dict[str, tuple[object, object]]


def check_handover(handover: Handover, stack: Stack, call: Mapping[str, Any]) -> None:
    """Refuse a stack or a call that is not the one of the first half.

    Raises:
        HandoverError: naming what differs, with both values.
    """
    content = handover.content
    _refuse("recipe", differing(content.recipe, recipe_content(stack)))
    _refuse("models", _differing_models(handover, stack))
    _refuse("scheduler", differing(content.scheduler, configuration(stack.pipeline.scheduler)))
    _refuse("call", differing(content.call, effective(stack.pipeline, call)))
    _refuse("call", differing(content.references, references_of(call)))
    devices = [one.device.type for one in generators_of(call)]
    _refuse("call", differing({"generator": content.generators}, {"generator": devices}))


def check_sources(handover: Handover, sources: Sequence[Source]) -> None:
    """Refuse models and files that are not those of the first half.

    Raises:
        HandoverError: naming them, with both fingerprints.
    """
    origin = handover.content.origin
    pairs = [] if origin is None else zip(origin.sources, sources, strict=False)
    found: Differences = {
        then.name: (then.identity, now.identity)  # a folder may have another name here
        for then, now in pairs
        if None not in (then.identity, now.identity) and then.identity != now.identity
    }
    _refuse("models", found)


def check_same(what: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Refuse values that are not those of the first half.

    Raises:
        HandoverError: with both.
    """
    _refuse(what, differing(dict(before), dict(now)))


def check_timesteps(handover: Handover, scheduler: Any) -> None:
    """Refuse a schedule that is not the one in which the first half ran.

    Raises:
        HandoverError: with both.
    """
    before = handover.tensors[handover.content.state["timesteps"]["tensor"]].tolist()
    _refuse("schedule", differing({"timesteps": before}, {"timesteps": _listed(scheduler)}))


def _listed(scheduler: Any) -> list[float]:
    listed: list[float] = scheduler.timesteps.tolist()
    return listed


def _differing_models(handover: Handover, stack: Stack) -> Differences:
    before = {role: facts.model_dump() for role, facts in handover.content.models.items()}
    now = {role: facts.model_dump() for role, facts in model_facts(stack).items()}
    for role in before.keys() & now.keys():
        if None in (before[role]["checksum"], now[role]["checksum"]):  # one half is without it
            before[role].pop("checksum")
            now[role].pop("checksum")
    return differing(before, now)


def differing(before: Any, now: Any, path: str = "") -> Differences:
    """The values that differ between two pieces of JSON, by their paths."""
    return dict(_differing(before, now, path))


def _differing(before: Any, now: Any, path: str) -> Iterator[tuple[str, tuple[object, object]]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differing(before.get(key, MISSING), now.get(key, MISSING), inner)
    elif isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)):
        if list(before) == list(now):
            return
        if len(before) != len(now) or not all(isinstance(item, dict) for item in before):
            yield path, (before, now)
            return
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differing(one, other, f"{path}[{index}]")
    elif before != now:
        yield path, (before, now)


def _refuse(what: str, found: Differences) -> None:
    if not found:
        return
    rows = "".join(
        f"\n  {path}: {shortened(str(before))} in the hand-over, {shortened(str(now))} here"
        for path, (before, now) in found.items()
    )
    raise HandoverError(
        f"the run was begun otherwise than it would be gone on with ({what}):{rows}\nresume it "
        f"with what it was begun with",
        differences=found,
    )
