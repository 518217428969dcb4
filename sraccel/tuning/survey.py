"""What can be tried on a pipeline: a survey of what is installed, each composed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sraccel.calibration.budgets import budgets_for
from sraccel.composer import compose
from sraccel.errors import ModelError, RecipeError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.claims import claims_of
from sraccel.loop.hooks import HOOKS, is_implemented
from sraccel.loop.tunable import Tunable
from sraccel.recipe.catalogue import installed
from sraccel.tuning.candidate import Candidate
from sraccel.tuning.space import SLOTS, Alternative, Slot, Space

GIVEN = "as given"
ADDED = ("steps", "rule", "predictor")
"""Claims whose owners are tried although the recipe does not name them."""
Item = Mapping[str, Any]


class Survey:
    """Finds out what can be tried.

    Args:
        pipe: the pipeline; nothing is left on it.
        recipe: its accelerators, as `candidate.shipped` gives them.
        steps: of a bare run.
        memory: whether a limit of memory is given.
    """

    def __init__(self, pipe: Any, recipe: Candidate, steps: int, memory: bool) -> None:
        self._pipe, self._steps, self._memory = pipe, steps, memory
        self._items = recipe.accelerators
        self._bare = compose(pipe, [])
        self._left_out: dict[str, str] = {}

    def space(self) -> Space:
        """All that may be tried.

        Raises:
            RecipeError: nothing can be tuned.
        """
        slots = [*self._kept(), *(slot for name in SLOTS if (slot := self._slot(name)))]
        if not any(one.tunables for slot in slots for one in slot.alternatives):
            reasons = "".join(f"\n  {name}: {why}" for name, why in self._left_out.items())
            raise RecipeError(f"no accelerator that works here declares what may be tuned{reasons}")
        return Space(tuple(slots), self._steps, self._left_out, self._step_budgets())

    def _step_budgets(self) -> tuple[int, ...]:
        try:
            return tuple(sorted(budgets_for("steps", self._bare.own).budgets))
        except ModelError:
            return ()

    def _kept(self) -> Iterator[Slot]:
        """What the recipe has beside the slots' owners stays, its tunable options drawn."""
        for place, item in enumerate(self._items):
            if _claim_of(item) is None:
                kind = installed().accelerators[item["use"]]
                yield Slot(item["use"], place, tuple(self._alternatives(kind, item)), False)

    def _slot(self, name: str) -> Slot | None:
        named = {item["use"]: item for item in self._items}
        found: list[Alternative] = []
        for use, kind in installed().accelerators.items():
            if _claim_of({"use": use}) == name and (use in named or name in ADDED):
                found += self._alternatives(kind, named.get(use))
        return Slot(name, self._place(name), tuple(found)) if found else None

    def _place(self, name: str) -> int:
        """Where the recipe has an owner of the claim; else behind all that it has."""
        claims = [_claim_of(item) for item in self._items]
        return claims.index(name) if name in claims else len(claims) + SLOTS.index(name)

    def _alternatives(self, kind: type[Accelerator], given: Item | None) -> Iterator[Alternative]:
        """As the recipe has it; then by each way in which its options can be tuned."""
        if given is not None:
            yield Alternative(f"{kind.name}, {GIVEN}", dict(given))
        try:
            ways = kind.tunable_ways(self._bare)
        except Exception as error:  # a plugin may raise anything
            self._left_out[kind.name] = str(error)
            return
        every = {name for rules in ways.values() for name in rules}
        for way, rules in ways.items():
            tuned = {n: r for n, r in rules.items() if self._memory or not r.for_memory}
            dropped = every - (rules.keys() - tuned.keys())
            kept = {k: v for k, v in (given or {}).items() if k not in dropped}
            label = f"{kind.name}, {way}" if way else kind.name
            usable = self._usable(Alternative(label, {**kept, "use": kind.name}, tuned))
            if usable is not None:
                yield usable

    def _usable(self, one: Alternative) -> Alternative | None:
        """With the recipe's other options as far as they go with the way, and without the choices
        that cannot be composed; None: it cannot be at all.
        """
        if not one.tunables:
            return None
        for item in _with_fewer_options(one.item):
            fitting = replace(one, item=item)
            why = self._refused(fitting.example(self._steps))
            if why is None:
                return replace(fitting, tunables=self._choosable(fitting))
            self._left_out.setdefault(one.label, why)
        return None

    def _choosable(self, one: Alternative) -> dict[str, Tunable]:
        """The tunables, with those of their choices that can be composed."""
        self._left_out.pop(one.label, None)
        example, found = one.example(self._steps), dict(one.tunables)
        for name, rule in one.tunables.items():
            usable = [v for v in rule.choices if self._refused({**example, name: v}) is None]
            if rule.choices:
                found[name] = replace(rule, choices=tuple(usable))
        return found

    def _refused(self, item: Item) -> str | None:
        """Why options cannot be composed, in the recipe or alone; None: they can be."""
        claim = _claim_of(item)
        others = [
            other
            for other in self._items
            if other["use"] != item["use"] and (claim is None or _claim_of(other) != claim)
        ]
        why = None
        for items in ([*others, item], [item]):
            try:
                compose(self._pipe, [dict(one) for one in items])
            except Exception as error:  # a plugin may raise anything
                why = why or str(error)
            else:
                return None
        return why


def _with_fewer_options(item: Item) -> Iterator[dict[str, Any]]:
    """The options, then without one of them each, then none: one way may exclude another's."""
    yield dict(item)
    names = [name for name in item if name != "use"]
    yield from ({k: v for k, v in item.items() if k != name} for name in names)
    if len(names) > 1:
        yield {"use": item["use"]}


def _claim_of(item: Item) -> str | None:
    """The slot that an accelerator takes; None: none of them."""
    kind = installed().accelerators[item["use"]]
    made = claims_of(kind, [hook for hook in HOOKS if is_implemented(kind, hook)])
    names = {claim.name for claim in made}
    return next((name for name in SLOTS if name in names), None)
