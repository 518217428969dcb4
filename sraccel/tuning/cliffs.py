"""Cliffs: where the next value of an option costs much quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sraccel.tuning.bench import Bench
from sraccel.tuning.candidate import Candidate, Missing
from sraccel.tuning.outcome import Cliff
from sraccel.tuning.space import Alternative, Space

NOTCH = 0.1
"""Relative to a value that is not a whole number."""
STEEP = 0.1
"""Relative to the quality; 3 dB of 30."""


@dataclass
class Cliffs:
    """Looks one notch up and down from a point, in each of its options.

    Attributes:
        bench: runs candidates.
        space: says which options can be changed.
        prompts: a few of those that choose.
    """

    bench: Bench
    space: Space
    prompts: Sequence[str]

    def beside(self, candidate: Candidate) -> list[Cliff]:
        """The cliffs of a point; candidates that fail are none."""
        around = list(neighbours(candidate, self.space))
        everything = [candidate, *(neighbour for *_, neighbour in around)]
        self.bench.make(self._line(one) for one in everything)
        quality = self._quality(candidate)
        found = []
        for option, value, other, neighbour in around:
            theirs = self._quality(neighbour)
            if quality is not None and theirs is not None and self._is_steep(quality, theirs):
                found.append(
                    Cliff(
                        option=option,
                        value=value,
                        beside=other,
                        quality=quality,
                        beside_quality=theirs,
                        prompts=len(self.prompts),
                    )
                )
        return found

    def _line(self, candidate: Candidate) -> Iterator[Missing]:
        for prompt in self.prompts:
            yield from self.bench.missing(candidate, prompt)

    def _quality(self, candidate: Candidate) -> float | None:
        runs = self.bench.runs(candidate, self.prompts)
        found = [run.quality for run in runs if run.quality is not None]
        return fmean(found) if len(found) == len(runs) else None

    def _is_steep(self, quality: float, beside: float) -> bool:
        good = self.bench.goal.goodness
        return good(quality) - good(beside) > STEEP * abs(quality)


def neighbours(candidate: Candidate, space: Space) -> Iterator[tuple[str, Any, Any, Candidate]]:
    """Option, its value, another value, and the candidate that has it."""
    for place, item in enumerate(candidate.accelerators):
        for name in sorted(_tunable(item, space)):
            for value in _beside(item[name]):
                items = list(candidate.accelerators)
                items[place] = {**item, name: value}
                option = f"{item['use']}.{name}"
                yield option, item[name], value, Candidate(accelerators=items)


def _tunable(item: dict[str, Any], space: Space) -> set[str]:
    alternatives: list[Alternative] = [
        one for slot in space.slots for one in slot.alternatives if one.use == item["use"]
    ]
    names = {name for one in alternatives for name in one.tunables}
    return {name for name in names & item.keys() if _beside(item[name])}


def _beside(value: Any) -> list[Any]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    if isinstance(value, int):
        return [value - 1, value + 1] if value > 1 else [value + 1]
    return [float(f"{value * (1 - NOTCH):.4g}"), float(f"{value * (1 + NOTCH):.4g}")]
