"""Cases of `gpu_wan.py`: recipes, and what each step of them is, so that it can be predicted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_models import Pair

STEPS = 50
SWITCHES = (5, 10, 15, 20)
USUAL_SWITCH = 10
ALWAYS = 5
"""First steps that a cache computes (TeaCache's retention variant)."""
PLACED = (0, 1, 2, 3, 4, 5, 7, 9, 11, 13, 16, 19, 22, 25, 28, 32, 36, 40, 44, 47)
"""Of 50: dense at the beginning."""
PARTS = ("sage", "cache", "steps", "switch")
Kind = tuple[str, bool, bool]
"""(transformer or render, whether its blocks are skipped, whether attention is 8-bit)"""


@dataclass(frozen=True)
class Case:
    """A subset of accelerators.

    Attributes:
        parts: of `PARTS`.
        switch: the render model's first step, of 50.
    """

    parts: tuple[str, ...]
    switch: int = USUAL_SWITCH

    @property
    def name(self) -> str:
        """`sage + cache + switch at 10`."""
        said = {"switch": f"switch at {self.switch}"}
        return " + ".join(said.get(part, part) for part in self.parts) or "bare"


def cases() -> Iterator[Case]:
    """The most important first: bare, all, each alone, other switches, then all subsets."""
    yield Case(())
    yield Case(PARTS)
    yield from (Case((part,)) for part in PARTS)
    for switch in SWITCHES:
        if switch != USUAL_SWITCH:
            yield Case(("switch",), switch)
    for count in (2, 3):
        yield from (Case(parts) for parts in itertools.combinations(PARTS, count))
    for switch in SWITCHES:
        if switch != USUAL_SWITCH:
            yield Case(PARTS, switch)


@dataclass(frozen=True)
class Plan:
    """What a case does, step by step.

    Attributes:
        positions: of the 50 steps, those that are taken.
        switch: first of them that the render model takes.
        computed: those that a cache computes.
    """

    positions: tuple[int, ...]
    switch: int
    computed: frozenset[int]

    @classmethod
    def of(cls, case: Case, pair: Pair, steps: int = STEPS) -> Plan:
        """The plan of a case; with fewer steps than 50, everything comes in proportion."""
        scaled = sorted({position * steps // STEPS for position in PLACED})
        positions = tuple(scaled) if "steps" in case.parts else tuple(range(steps))
        if "steps" in case.parts and not pair.plans:
            positions = tuple(k * steps // len(scaled) for k in range(len(scaled)))
        at = case.switch * steps / STEPS
        switch = next((i for i, position in enumerate(positions) if position >= at), 0)
        switch = max(switch, 1) if "switch" in case.parts else len(positions)
        computed = _computed(len(positions), switch, pair.skipped if "cache" in case.parts else 0.0)
        return cls(positions, switch, computed)

    def kinds(self, sage: bool) -> list[Kind]:
        """Of each step: which model, whether it is skipped, and by which kernel."""
        return [
            ("transformer" if step < self.switch else "render", step not in self.computed, sage)
            for step in range(len(self.positions))
        ]


def _computed(steps: int, switch: int, skipped: float) -> frozenset[int]:
    """The first ones, each model's first one, and of the rest an even share."""
    forced = {*range(min(ALWAYS, steps)), *({switch} if switch < steps else ())}
    wanted = max(steps - round(skipped * steps), len(forced))
    rest = [step for step in range(steps) if step not in forced]
    more = wanted - len(forced)
    even = {rest[math.floor(k * len(rest) / more)] for k in range(more)} if more else set()
    return frozenset(forced | even)


def recipe_of(
    case: Case, plan: Plan, pair: Pair, render: Any, kernel: str, **switching: Any
) -> list[dict[str, Any]]:
    """The recipe of a case.

    Args:
        render: the render model's pipeline.
        kernel: of SageAttention.
        switching: further options of srdiffusion.
    """
    items: list[dict[str, Any]] = []
    if "sage" in case.parts:
        items.append({"use": "sageattention", "kernel": kernel})
    if "steps" in case.parts and pair.plans:
        items.append({"use": "steps", "positions": list(plan.positions)})
    if "switch" in case.parts:
        given = {"render": render, "switch_step": plan.switch, **switching}
        items.append({"use": "srdiffusion", **given})
    if "cache" in case.parts:
        steps = sorted(plan.computed)
        items.append({"use": "schedule", "steps": steps, "level": "blocks"})
    return items


def asked_steps(plan: Plan, pair: Pair, steps: int) -> int:
    """What the pipeline is asked for: fewer steps, where its scheduler can place none."""
    return steps if pair.plans else len(plan.positions)


def predicted(kinds: Sequence[Kind], costs: Mapping[Kind, float]) -> float | None:
    """Seconds of steps, by what one of each kind takes; None: one of them was not measured."""
    found = [costs.get(kind) for kind in kinds]
    return None if None in found else math.fsum(cost for cost in found if cost is not None)
