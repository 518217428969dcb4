"""What is searched: rules x predictors x placed steps x switch, and the options of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sraccel.composer import compose
from sraccel.errors import RecipeError, SraccelError
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.claims import claims_of
from sraccel.loop.hooks import HOOKS, is_implemented
from sraccel.loop.stack import Stack
from sraccel.loop.tunable import Tunable
from sraccel.recipe.catalogue import installed
from sraccel.tuning.candidate import Candidate

NONE = "none"
GIVEN = "as given"
ADDED = ("steps", "rule", "predictor")
"""Claims whose owners are tried although the recipe does not name them."""
SLOTS = ("steps", "denoiser", "rule", "predictor")
"""Claims of which a stack has one owner at most, in the order in which they are drawn."""


class Trial(Protocol):
    """What draws values: a trial of Optuna's."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...


@dataclass(frozen=True)
class Alternative:
    """An accelerator with some options fixed and others to be drawn.

    Attributes:
        label: names it among the alternatives of a slot.
        item: the options that stay, with `use`.
        tunables: the options that are drawn.
    """

    label: str
    item: Mapping[str, Any]
    tunables: Mapping[str, Tunable] = field(default_factory=dict)

    @property
    def use(self) -> str:
        """Name of the accelerator."""
        return str(self.item["use"])

    def drawn(self, trial: Trial, steps: int) -> dict[str, Any]:
        """Options for a run of so many steps."""
        values = {
            name: _draw(trial, f"{self.label}: {name}", rule, steps)
            for name, rule in self.tunables.items()
        }
        return {**self.item, **values}

    def variants(self, steps: int) -> Iterator[dict[str, Any]]:
        """Options that show whether it can be composed: ranges at their middle, each choice."""
        middle = {name: _middle(rule, steps) for name, rule in self.tunables.items()}
        yield {**self.item, **middle}
        for name, rule in self.tunables.items():
            for value in rule.choices[1:]:
                yield {**self.item, **middle, name: value}


@dataclass(frozen=True)
class Slot:
    """A place in the stack that one of several alternatives takes, or none.

    Attributes:
        name: the claim, or the name of an accelerator that is always there.
        place: in the order of the recipe.
        optional: whether it may stay empty.
    """

    name: str
    place: int
    alternatives: tuple[Alternative, ...]
    optional: bool = True

    def draw(self, trial: Trial) -> Alternative | None:
        """One of them; None: it stays empty."""
        labels = [NONE] * self.optional + [one.label for one in self.alternatives]
        label = labels[0] if len(labels) == 1 else trial.suggest_categorical(self.name, labels)
        return next((one for one in self.alternatives if one.label == label), None)


@dataclass(frozen=True)
class Space:
    """All that may be tried.

    Attributes:
        slots: in the order in which they are drawn.
        steps: of a bare run.
        left_out: why an accelerator is not tried, by its name.
    """

    slots: tuple[Slot, ...]
    steps: int
    left_out: Mapping[str, str]

    def draw(self, trial: Trial) -> Candidate:
        """A candidate by the values that a trial draws."""
        steps, found = self.steps, []
        rule = False
        for slot in self.slots:
            if slot.name == "predictor" and not rule:
                continue  # nothing is skipped, so nothing would be predicted
            chosen = slot.draw(trial)
            if chosen is None:
                continue
            item = chosen.drawn(trial, steps)
            if slot.name == "steps":
                steps = taken_steps(item, chosen.tunables, steps)
            rule = rule or slot.name == "rule"
            found.append((slot.place, item))
        return Candidate(accelerators=[item for _, item in sorted(found, key=lambda one: one[0])])

    @property
    def tuned(self) -> list[str]:
        """Names of what is searched, with the options of each."""
        return [
            f"{one.label} ({', '.join(one.tunables)})" if one.tunables else one.label
            for slot in self.slots
            for one in slot.alternatives
        ]


def taken_steps(item: Mapping[str, Any], tunables: Mapping[str, Tunable], asked: int) -> int:
    """How many steps a plan takes: the one whole number among what was drawn, else its list's."""
    drawn = [item[name] for name in tunables if isinstance(item.get(name), int)]
    lists = [len(value) for value in item.values() if isinstance(value, list)]
    known = drawn or lists or [v for v in item.values() if isinstance(v, int)]
    return min(known[0], asked) if known else asked


def _draw(trial: Trial, name: str, rule: Tunable, steps: int) -> Any:
    if rule.choices:
        only = len(rule.choices) == 1
        return rule.choices[0] if only else trial.suggest_categorical(name, rule.choices)
    low, high = rule.low or 0, rule.high or 0
    if rule.unit == "steps":
        return counted(trial.suggest_float(name, low, high, log=rule.log), steps)
    if rule.whole:
        return trial.suggest_int(name, int(low), int(high), log=rule.log)
    return float(f"{trial.suggest_float(name, low, high, log=rule.log):.4g}")


def _middle(rule: Tunable, steps: int) -> Any:
    if rule.choices:
        return rule.choices[0]
    middle = ((rule.low or 0) + (rule.high or 0)) / 2
    if rule.unit == "steps":
        return counted(middle, steps)
    return int(middle) if rule.whole else middle


def counted(share: float, steps: int) -> int:
    """A share of the steps as a number of them, 1 or more."""
    return max(1, round(share * steps))


class SpaceBuilder:
    """Finds out what can be tried on a pipeline.

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
        self._bare.logs_warnings = False
        self._left_out: dict[str, str] = {}

    def build(self) -> Space:
        """The space.

        Raises:
            RecipeError: nothing can be tuned.
        """
        slots = [*self._kept(), *(slot for name in SLOTS if (slot := self._slot(name)))]
        if not any(one.tunables for slot in slots for one in slot.alternatives):
            reasons = "".join(f"\n  {name}: {why}" for name, why in self._left_out.items())
            raise RecipeError(f"no accelerator that works here declares what may be tuned{reasons}")
        return Space(tuple(slots), self._steps, self._left_out)

    def _kept(self) -> Iterator[Slot]:
        """What the recipe has beside the slots' owners stays, its tunable options drawn."""
        for place, item in enumerate(self._items):
            kind = installed().accelerators[item["use"]]
            if claim_of(kind) is None:
                yield Slot(item["use"], place, tuple(self._alternatives(kind, item)), False)

    def _slot(self, name: str) -> Slot | None:
        named = {item["use"]: item for item in self._items}
        found: list[Alternative] = []
        for use, kind in installed().accelerators.items():
            if claim_of(kind) == name and (use in named or name in ADDED):
                found += self._alternatives(kind, named.get(use))
        return Slot(name, self._place(name), tuple(found)) if found else None

    def _place(self, name: str) -> int:
        for place, item in enumerate(self._items):
            if claim_of(installed().accelerators[item["use"]]) == name:
                return place
        return len(self._items) + SLOTS.index(name)

    def _alternatives(
        self, kind: type[Accelerator], given: Mapping[str, Any] | None
    ) -> Iterator[Alternative]:
        """As the recipe has it; then by each way in which its options can be tuned."""
        if given is not None:
            yield Alternative(f"{kind.name}, {GIVEN}", dict(given))
        try:
            ways = kind.tunable_ways(self._bare)
        except SraccelError as error:
            self._left_out[kind.name] = str(error)
            return
        every = {name for rules in ways.values() for name in rules}
        for way, rules in ways.items():
            tuned = {n: r for n, r in rules.items() if self._memory or not r.for_memory}
            dropped = every - (rules.keys() - tuned.keys())
            kept = {k: v for k, v in (given or {}).items() if k not in dropped}
            label = f"{kind.name}, {way}" if way else kind.name
            one = self._usable(Alternative(label, {**kept, "use": kind.name}, tuned))
            if one is not None and one.tunables:
                yield one

    def _usable(self, one: Alternative) -> Alternative | None:
        """Without the choices that cannot be composed; None: it cannot be at all."""
        first, *others = one.variants(self._steps)
        if (why := self._refused(first)) is not None:
            self._left_out[one.label] = why
            return None
        refused = [
            (name, value)
            for name, rule in one.tunables.items()
            for value in rule.choices[1:]
            if self._refused(next(v for v in others if v[name] == value)) is not None
        ]
        return Alternative(one.label, one.item, {
            name: rule if not rule.choices else Tunable(
                choices=tuple(v for v in rule.choices if (name, v) not in refused)
            )
            for name, rule in one.tunables.items()
        })  # fmt: skip

    def _refused(self, item: Mapping[str, Any]) -> str | None:
        """Why options cannot be composed, in the recipe or alone; None: they can be."""
        claim = claim_of(installed().accelerators[item["use"]])
        others = [
            other
            for other in self._items
            if other["use"] != item["use"]
            and (claim is None or claim_of(installed().accelerators[other["use"]]) != claim)
        ]
        why = None
        for stack in ([*others, item], [item]):
            try:
                self._composed(stack)
            except Exception as error:  # a plugin may raise anything
                why = why or str(error)
            else:
                return None
        return why

    def _composed(self, items: Sequence[Mapping[str, Any]]) -> Stack:
        stack = compose(self._pipe, [dict(item) for item in items])
        stack.logs_warnings = False
        return stack


def claim_of(kind: type[Accelerator]) -> str | None:
    """The slot that an accelerator takes; None: none of them."""
    made = claims_of(kind, [hook for hook in HOOKS if is_implemented(kind, hook)])
    names = {claim.name for claim in made}
    return next((name for name in SLOTS if name in names), None)
