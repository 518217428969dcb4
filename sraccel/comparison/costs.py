"""What a call costs, by what its cost depends on; and what a step takes beside its calls."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sraccel.loop.clock import median

if TYPE_CHECKING:
    from sraccel.report.model import CallRecord, CostRecord, EvaluationRecord, Report


class Kind(NamedTuple):
    """What a call's cost depends on.

    Attributes:
        denoiser: role of the model that answers.
        skipped: what a rule skips of it, `call` or `blocks`; None: nothing.
        prepared_by: accelerators whose `prepare_denoiser` is in force, in recipe order.
        shares: what accelerators skip of it by other means, as (name, share of the work).
    """

    denoiser: str
    skipped: str | None
    prepared_by: tuple[str, ...] = ()
    shares: tuple[tuple[str, float], ...] = ()


@dataclass
class Costs:
    """Seconds of calls by kind, and of what a step takes beside its calls.

    That rest (guidance, the scheduler) goes by the kind of the step's last call: after a large
    model it takes longer than after a small one, which leaves more in the processor's caches.
    """

    samples: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))
    rests: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, report: Report, prepared_by: tuple[str, ...]) -> None:
        """Add the calls and steps of a run."""
        for step in report.steps:
            timed = [call for call in evaluated(step.calls) if call.seconds is not None]
            for call in timed:
                self.samples[_kind_of(call, prepared_by)].append(call.seconds or 0.0)
            if timed and step.seconds is not None:
                rest = step.seconds - sum(call.seconds or 0.0 for call in timed)
                self.rests[_kind_of(timed[-1], prepared_by)].append(rest)

    @classmethod
    def of(cls, records: Iterable[CostRecord]) -> Costs:
        """Those that a report says."""
        costs = cls()
        for record in records:
            kind = Kind(
                record.denoiser,
                record.skipped,
                tuple(record.prepared_by),
                tuple(record.shares.items()),
            )
            for kept, values in (
                (costs.samples, record.call_seconds),
                (costs.rests, record.rest_seconds),
            ):
                if values:
                    kept[kind] = list(values)
        return costs

    def records(self) -> list[CostRecord]:
        """As a report says them; `of` reads them back."""
        from sraccel.report.model import CostRecord

        return [
            CostRecord(
                denoiser=kind.denoiser,
                skipped=kind.skipped,
                shares=dict(kind.shares),
                prepared_by=list(kind.prepared_by),
                call_seconds=self.samples.get(kind, []),
                rest_seconds=self.rests.get(kind, []),
            )
            for kind in sorted(self.samples.keys() | self.rests.keys(), key=_in_order)
        ]

    def seconds(self, kind: Kind) -> float | None:
        """Median seconds of a kind of call; None if it was never measured."""
        return median(self.samples[kind]) if kind in self.samples else None

    def rest(self, kind: Kind) -> float:
        """Median seconds of a step beside its calls, if its last call is of this kind."""
        if kind in self.rests:
            return median(self.rests[kind])
        return median(value for values in self.rests.values() for value in values)


def evaluated(calls: Iterable[CallRecord]) -> Iterator[EvaluationRecord]:
    """The calls of denoisers: of one that was answered otherwise, those that it was made of."""
    for call in calls:
        yield from call.evaluations if call.answered_by is not None else (call,)


def shares_of(call: EvaluationRecord) -> tuple[tuple[str, float], ...]:
    """What accelerators skipped by means of their own, to a hundredth: nearly equal is one kind."""
    return tuple((name, round(share, 2)) for name, share in sorted(call.skips.items()))


def _kind_of(call: EvaluationRecord, prepared_by: tuple[str, ...]) -> Kind:
    """The kind of a call as it was made."""
    return Kind(call.denoiser, call.level, prepared_by, shares_of(call))


def _in_order(kind: Kind) -> tuple[str, str, tuple[str, ...], tuple[tuple[str, float], ...]]:
    return kind.denoiser, kind.skipped or "", kind.prepared_by, kind.shares


def kinds_by_preparation(kinds: Iterable[Kind]) -> Iterator[tuple[tuple[str, ...], list[Kind]]]:
    """Kinds that one probe run can measure together."""
    in_order = sorted(kinds, key=lambda kind: (kind.prepared_by, kind.denoiser, kind.skipped or ""))
    for prepared_by, found in itertools.groupby(in_order, key=lambda kind: kind.prepared_by):
        yield prepared_by, [*found]
