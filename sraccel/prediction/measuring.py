"""Costs of calls, measured in rounds on models of random weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sraccel.comparison.costs import Costs, Kind, kinds_by_preparation
from sraccel.comparison.probing import probed
from sraccel.errors import ConflictError
from sraccel.loop.clock import median
from sraccel.prediction.random_weights import Blocks, counts_of
from sraccel.report.model import CostRecord

if TYPE_CHECKING:
    from sraccel.comparison.timed_call import TimedCall
    from sraccel.loop.denoiser import Contribution
    from sraccel.loop.stack import Stack
    from sraccel.report.model import Report

WHOLE = "whole"
ONE = "one block of each kind"
GROWN = 3
"""Blocks of one kind in the second of two builds, whose difference is what a block costs."""


class Measurement(BaseModel):
    """What one probe run measured.

    Attributes:
        round: 0-based; each round measures everything once.
        build: `whole`, or how many blocks were built.
        prepared_by: accelerators that had prepared the denoisers.
        costs: of calls, and of the rest of a step.
        first_seconds: what the first call took beyond the median one (compiling, allocating).
        peak_memory_bytes: CUDA: allocated; CPU: of the process so far.
    """

    model_config = ConfigDict(extra="forbid")

    round: int = Field(ge=0)
    build: str
    prepared_by: list[str]
    costs: list[CostRecord]
    first_seconds: float = 0.0
    peak_memory_bytes: int | None = None

    @property
    def key(self) -> tuple[int, str, tuple[str, ...]]:
        """What distinguishes it from the others."""
        return self.round, self.build, tuple(self.prepared_by)


@dataclass(frozen=True)
class Built:
    """A pipeline of random weights, its call, and the models that accelerators bring."""

    pipe: Any
    call: TimedCall
    brought: Mapping[str, Contribution]


Store = Callable[[Measurement], object]
"""Is given each measurement as it comes."""


def builds_of(stack: Stack, few: bool) -> dict[str, Blocks]:
    """What to build, by name: the whole models, or the few blocks that tell a block's cost."""
    if not few:
        return {WHOLE: {}}
    keys = sorted({key for one in stack.denoisers.values() for key in counts_of(one.module)})
    one = dict.fromkeys(keys, 1)
    return {ONE: one, **{f"{GROWN} of {key}": {**one, key: GROWN} for key in keys}}


def measure(
    build: Callable[[Blocks], Built],
    stack: Stack,
    kinds: set[Kind],
    builds: Mapping[str, Blocks],
    *,
    rounds: int,
    samples: int,
    done: Sequence[Measurement] = (),
    store: Store = lambda measurement: None,
) -> list[Measurement]:
    """Measure each kind of call, in rounds, so that what slows the machine down slows down all.

    In a round everything is built anew, where several builds are compared.

    Args:
        build: makes a pipeline.
        stack: whose accelerators prepare.
        kinds: of calls.
        builds: what to build, by name.
        rounds: how often everything is measured.
        samples: steps of each model that compute and count in a round.
        done: what was measured before; it is not measured again.
        store: is given what is new.
    """
    known = {one.key: one for one in done}
    found = []
    standing: tuple[str, Built] | None = None
    for number, name in itertools.product(range(rounds), builds):
        for prepared_by, of_group in kinds_by_preparation(kinds):
            measurement = known.get((number, name, prepared_by))
            if measurement is None:
                if standing is None or standing[0] != name:
                    standing = None  # frees it before the next one is built
                    standing = name, build(builds[name])
                built = standing[1]
                report = probed(
                    built.call,
                    built.pipe,
                    stack,
                    prepared_by,
                    of_group,
                    built.brought,
                    samples=samples,
                    description=f"measuring, round {number + 1} of {rounds}",
                )
                measurement = _measurement(report, number, name, prepared_by)
                store(measurement)
            found.append(measurement)
    return found


def _measurement(
    report: Report, number: int, build: str, prepared_by: tuple[str, ...]
) -> Measurement:
    """What counts of a probe: each model's first step is as if nothing were cached yet."""
    first = report.steps[0].calls[0].seconds or 0.0
    report.steps = [
        step
        for before, step in itertools.pairwise(report.steps)
        if before.denoiser == step.denoiser
    ]
    costs = Costs()
    costs.take(report, prepared_by)
    for kind in costs.samples:
        for name, _ in kind.shares:
            raise ConflictError(
                f"{name!r} skips work by what the model computes, which random weights do not "
                f"show: leave it out of the recipe, or measure with the model's own "
                f"(`sraccel generate --compare`)",
                accelerators=[name],
            )
    usual = median(next(iter(costs.samples.values())))
    return Measurement(
        round=number,
        build=build,
        prepared_by=list(prepared_by),
        costs=costs.records(),
        first_seconds=max(0.0, first - usual),
        peak_memory_bytes=report.peak_memory_bytes,
    )


def costs_of_rounds(measured: Sequence[Measurement], stack: Stack) -> list[Costs]:
    """The costs of each round, of whole models."""
    numbers = sorted({one.round for one in measured})
    return [
        _of_round([one for one in measured if one.round == number], stack) for number in numbers
    ]


def averaged(rounds: Sequence[Costs]) -> Costs:
    """The mean of each kind alone in a round, of the round in the middle.

    The mean: a run's seconds are a sum, and on a busy machine medians of short calls, of which few
    are held up for long, add up to less. The middle: in one round much else may have run.
    """

    def usual(of_rounds: Sequence[Mapping[Kind, list[float]]]) -> dict[Kind, list[float]]:
        kinds = {kind for one in of_rounds for kind in one}
        return {
            kind: [median(mean(one[kind]) for one in of_rounds if kind in one)] for kind in kinds
        }

    return Costs(usual([one.samples for one in rounds]), usual([one.rests for one in rounds]))


def mean(values: Sequence[float]) -> float:
    """What a sum of calls is made of."""
    return sum(values) / len(values)


def pooled(rounds: Sequence[Costs]) -> Costs:
    """The costs of all rounds together."""
    whole = Costs()
    for costs in rounds:
        for kind, values in costs.samples.items():
            whole.samples[kind] += values
        for kind, values in costs.rests.items():
            whole.rests[kind] += values
    return whole


def _of_round(measured: Sequence[Measurement], stack: Stack) -> Costs:
    by_build: dict[str, Costs] = {}
    for one in measured:
        by_build.setdefault(one.build, Costs())
        part = Costs.of(one.costs)
        by_build[one.build].samples.update(part.samples)
        by_build[one.build].rests.update(part.rests)
    if WHOLE in by_build:
        return by_build[WHOLE]
    return extrapolated(by_build, stack)


def extrapolated(by_build: Mapping[str, Costs], stack: Stack) -> Costs:
    """Costs of whole models from those of one block of each kind, and of more of one kind.

    What is skipped costs the same, however many blocks there are.
    """
    one = by_build[ONE]
    found = Costs(rests=dict(one.rests))
    for kind in one.samples:
        if kind.denoiser not in stack.denoisers:  # of another subset of the recipe
            continue
        counts = counts_of(stack.denoisers[kind.denoiser].module)
        once = seconds = mean(one.samples[kind])
        for key, most in counts.items() if kind.skipped is None else ():
            grown = mean(by_build[f"{GROWN} of {key}"].samples[kind])
            more = max(0.0, grown - once) / max(min(GROWN, most) - 1, 1)
            seconds += (most - 1) * more
        found.samples[kind] = [seconds]
    return found


def kinds_in_words(kinds: set[Kind]) -> Iterator[tuple[Kind, str]]:
    """Each kind, and what it is called: `transformer, computed, under sageattention`."""
    for kind in sorted(kinds, key=lambda one: (one.prepared_by, one.denoiser, one.skipped or "")):
        yield kind, kind_in_words(kind)


def kind_in_words(kind: Kind) -> str:
    """`render, blocks skipped, under sageattention`."""
    did = {"call": "call skipped", "blocks": "blocks skipped", None: "computed"}[kind.skipped]
    under = f", under {' + '.join(kind.prepared_by)}" if kind.prepared_by else ""
    return f"{kind.denoiser}, {did}{under}"
