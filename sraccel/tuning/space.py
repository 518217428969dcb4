"""What is searched: rules x predictors x placed steps x switch, and the options of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sraccel.loop.tunable import Tunable
from sraccel.tuning.candidate import Candidate

NONE = "none"
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

    def example(self, steps: int) -> dict[str, Any]:
        """Options that show whether it can be composed: ranges at their middle, first choices."""
        middle = {name: _middle(rule, steps) for name, rule in self.tunables.items()}
        return {**self.item, **middle}


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
        step_budgets: numbers of steps that the model is calibrated for, fewest first.
    """

    slots: tuple[Slot, ...]
    steps: int
    left_out: Mapping[str, str]
    step_budgets: tuple[int, ...] = ()

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
