"""Held-out prompts: what was chosen, the shipped recipe and fewer steps, each beside bare runs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sraccel.comparison.rival import rival_recipe
from sraccel.study.analysis.resampling import Draws, Resampling
from sraccel.study.results import Estimate
from sraccel.tuning.bench import Bench
from sraccel.tuning.candidate import Candidate, Missing
from sraccel.tuning.front import Point
from sraccel.tuning.outcome import Measured, Worst
from sraccel.tuning.space import Space
from sraccel.tuning.store import TuningRun, fits
from sraccel.tuning.wanted import LEAST_PROMPTS

RESAMPLES, SEED = 2000, 0


@dataclass
class Confirming:
    """Runs on held-out prompts.

    Attributes:
        bench: runs candidates.
        prompts: those that chose nothing.
        space: how many steps a bare run has, and for which numbers steps are placed.
        memory: limit in bytes, or None.
    """

    bench: Bench
    prompts: Sequence[str]
    space: Space
    memory: int | None = None

    def run(self, candidates: Sequence[Candidate], until: float) -> None:
        """Run each candidate on each prompt, until the time is over; a prompt's on one device."""
        self.bench.make(self._blocks(candidates, until))

    def _blocks(self, candidates: Sequence[Candidate], until: float) -> Iterator[Iterator[Missing]]:
        for number, prompt in enumerate(self.prompts):
            if number >= LEAST_PROMPTS and self.bench.spent >= until:
                return
            yield self._block(candidates, prompt)

    def _block(self, candidates: Sequence[Candidate], prompt: str) -> Iterator[Missing]:
        for one in random.Random(prompt).sample(list(candidates), len(candidates)):
            yield from self.bench.missing(one, prompt)

    def rivals(self, points: Sequence[Point], most: int = 3) -> list[Candidate]:
        """Fewer steps, placed, at no more than the cost of some points; from end to end."""
        steps, known = self.space.steps, self.space.step_budgets
        numbers = [max(1, math.floor(steps / one.speedup)) for one in points]
        wanted = sorted({number for number in numbers if number < steps})
        places = {round(i * (len(wanted) - 1) / max(most - 1, 1)) for i in range(most)}
        found = [_rival(wanted[place], known) for place in sorted(places)] if wanted else []
        return list({one.key: one for one in found}.values())

    def fewer_steps(self) -> list[Candidate]:
        """The trivial candidates: fewer steps and nothing else, uniform if none are calibrated."""
        steps, known = self.space.steps, self.space.step_budgets
        numbers = known or sorted({max(1, steps // share) for share in (2, 3, 4, 6)})
        return [
            Candidate(accelerators=rival_recipe(number, "calibrated" if known else "uniform"))
            for number in numbers
            if number < steps
        ]

    def measured(self, candidate: Candidate, name: str, point: Point | None) -> Measured | None:
        """What a candidate gave; None: it was not run on enough prompts, or failed on one."""
        runs = self._finished(candidate)
        if not runs:
            return None
        qualities = [run.quality or 0.0 for run in runs]
        ratios = [math.log(run.speedup) for run in runs]
        quality = _draws(qualities).estimate()
        worst = min(runs, key=lambda run: self.bench.goal.goodness(run.quality or 0.0))
        peaks = [run.peak_memory for run in runs if run.peak_memory is not None]
        return Measured(
            name=name,
            kind=candidate.kind,
            label=candidate.label,
            accelerators=candidate.accelerators,
            speedup=_draws(ratios).estimate(math.exp),
            quality=quality,
            worst=Worst(prompt=worst.prompt, quality=worst.quality or 0.0),
            held_out=len(runs),
            meets=self.bench.goal.met_by(quality.value) and fits(runs, self.memory),
            chosen_speedup=None if point is None else point.speedup,
            chosen_quality=None if point is None else point.quality,
            peak_memory=max(peaks, default=None),
        )

    def _finished(self, candidate: Candidate) -> list[TuningRun]:
        """On the prompts, in their order, up to the first on which it was not run."""
        runs = []
        for prompt in self.prompts:
            found = self.bench.runs(candidate, [prompt])
            if not found:
                break
            runs += found
        return [] if any(run.error for run in runs) else runs

    def faster(self, one: Candidate, other: Candidate) -> Estimate | None:
        """Speedup of one candidate over that of another, on the prompts that both were run on."""
        pairs = self._pairs(one, other)
        logs = [math.log(a.speedup / b.speedup) for a, b in pairs]
        return _draws(logs).estimate(math.exp) if logs else None

    def better(self, one: Candidate, other: Candidate) -> Estimate | None:
        """By how much one candidate's quality is better than another's; above 0 it is."""
        good = self.bench.goal.goodness
        pairs = self._pairs(one, other)
        gains = [good(a.quality or 0.0) - good(b.quality or 0.0) for a, b in pairs]
        return _draws(gains).estimate() if gains else None

    def _pairs(self, one: Candidate, other: Candidate) -> list[tuple[TuningRun, TuningRun]]:
        theirs = {run.prompt: run for run in self._finished(other)}
        return [(a, theirs[a.prompt]) for a in self._finished(one) if a.prompt in theirs]


def _rival(number: int, calibrated: Sequence[int]) -> Candidate:
    """Calibrated where there is such a number that costs no more; else uniform."""
    placed = [one for one in calibrated if one <= number]
    items: list[dict[str, Any]] = (
        rival_recipe(max(placed), "calibrated") if placed else rival_recipe(number, "uniform")
    )
    return Candidate(accelerators=items, kind="rival")


def _draws(values: Sequence[float]) -> Draws:
    units = np.arange(len(values))
    return Resampling(RESAMPLES, SEED).mean(np.asarray(values, dtype=np.float64), units)
