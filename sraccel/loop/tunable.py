"""Options that may be tuned: an accelerator declares a range, or the values to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel


@dataclass(frozen=True)
class Tunable:
    """What `sraccel tune` may make of an option, stated beside its type.

    For example:

        threshold: Annotated[float, Tunable(0.02, 0.4, log=True)] = Field(0.1, ge=0)

    Attributes:
        low, high: the ends of a range, both included; of whole numbers, where both are whole.
        log: whether equal ratios count alike, instead of equal differences.
        choices: the values to choose from, instead of a range.
        unit: `steps`: the ends are shares of the steps that a run takes; the option gets a whole
            number of them, 1 or more.
        way: options of one way are tuned together, and those of other ways are left out then:
            for options that exclude each other. Without a way, an option belongs to all of them.
        for_memory: tuned only where a limit of memory is given, since it saves nothing else.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    unit: Literal["value", "steps"] = "value"
    way: str = ""
    for_memory: bool = False

    def __post_init__(self) -> None:
        ends = self.low is not None and self.high is not None
        if ends == bool(self.choices) or (self.low is None) != (self.high is None):
            raise TypeError("Tunable takes a range (low and high) or choices")
        low, high = self.low or 0.0, self.high or 0.0
        if ends and (low >= high or (self.log and low <= 0)):
            raise TypeError(f"Tunable({low}, {high}): low must be less, and with log above 0")

    @property
    def whole(self) -> bool:
        """Whether the range is one of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Ways = Mapping[str, Mapping[str, Tunable]]
"""By the way's name, the options that are tuned together, by name."""


def declared_ways(options: type[BaseModel]) -> Ways:
    """What the fields of an accelerator's options declare; empty where they declare nothing."""
    found = {
        name: rule
        for name, field in options.model_fields.items()
        for rule in field.metadata
        if isinstance(rule, Tunable)
    }
    shared = {name: rule for name, rule in found.items() if not rule.way}
    ways = list(dict.fromkeys(rule.way for rule in found.values() if rule.way))
    if not ways:
        return {"": shared} if shared else {}
    return {
        way: {name: rule for name, rule in found.items() if rule.way in ("", way)} for way in ways
    }
