"""What a call costs: measured outside the accelerated run, by short probe runs.

A prediction from the accelerated run's own timings would be circular. So costs come from the bare
run and from probes: the same pipeline call with few steps, in which an internal accelerator
takes every (denoiser, computed or reused) in turn, under the kernels that the recipe prepares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sraccel.loop.accelerator import Accelerator
from sraccel.loop.clock import median
from sraccel.loop.hooks import LoopHooks
from sraccel.loop.hookspecs import hookimpl

if TYPE_CHECKING:
    import torch

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Contribution, Denoiser
    from sraccel.loop.step import Step
    from sraccel.report.model import CallRecord, CostRecord, Report


class Kind(NamedTuple):
    """What a call's cost depends on.

    Attributes:
        denoiser: role of the model that answers.
        reused: whether its block stack is skipped.
        prepared_by: accelerators whose `prepare_denoiser` is in force, in recipe order.
    """

    denoiser: str
    reused: bool
    prepared_by: tuple[str, ...] = ()


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
            timed = [call for call in step.calls if call.seconds is not None]
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
            kind = Kind(record.denoiser, record.reused, tuple(record.prepared_by))
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
                reused=kind.reused,
                prepared_by=list(kind.prepared_by),
                call_seconds=self.samples.get(kind, []),
                rest_seconds=self.rests.get(kind, []),
            )
            for kind in sorted(self.samples.keys() | self.rests.keys())
        ]

    def seconds(self, kind: Kind) -> float | None:
        """Median seconds of a kind of call; None if it was never measured."""
        return median(self.samples[kind]) if kind in self.samples else None

    def rest(self, kind: Kind) -> float:
        """Median seconds of a step beside its calls, if its last call is of this kind."""
        if kind in self.rests:
            return median(self.rests[kind])
        return median(value for values in self.rests.values() for value in values)


def _kind_of(call: CallRecord, prepared_by: tuple[str, ...]) -> Kind:
    """The kind of a call as it was made."""
    return Kind(call.denoiser, call.reused, prepared_by)


class Probe(Accelerator):
    """Takes each (denoiser, computed or reused) in turn, a few steps each.

    Steps of a kind follow each other, as they do in a real run: a model that takes turns with
    another one finds its weights gone from the processor's caches.
    """

    name = "probe"
    steps_each = 6

    def __init__(
        self, schedule: Sequence[tuple[str, bool]], denoisers: Mapping[str, Contribution]
    ) -> None:
        super().__init__(type(self).Options())
        self._schedule = schedule
        self._denoisers = denoisers

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return len(self._schedule) * self.steps_each

    def _kind(self, step_index: int) -> tuple[str, bool]:
        return self._schedule[min(step_index // self.steps_each, len(self._schedule) - 1)]

    @hookimpl
    def contribute_denoisers(self) -> Mapping[str, Contribution]:
        return self._denoisers

    @hookimpl
    def select_denoiser(self, step: Step) -> str:
        return self._kind(step.index)[0]


class ReusingProbe(Probe):
    """A probe that also skips blocks; for models whose blocks can be skipped."""

    name = "reusing-probe"

    @hookimpl
    def reuse_residual(self, call: Call) -> Any:
        reused = self._kind(call.step.index)[1]
        return call.block_input.new_zeros(call.block_input.shape) if reused else None

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        kept: list[torch.Tensor] = call.memory(self, list)
        kept[:] = [residual]


def probe_for(schedule: Sequence[tuple[str, bool]], denoisers: Mapping[str, Contribution]) -> Probe:
    """The probe that takes this schedule."""
    reuses = any(reused for _, reused in schedule)
    return (ReusingProbe if reuses else Probe)(schedule, denoisers)


class OnlyPreparing(Accelerator):
    """Has another accelerator prepare denoisers, and keeps its other hooks out of a probe."""

    name = "only-preparing"

    def __init__(self, other: Accelerator) -> None:
        super().__init__(type(self).Options())
        self.name = other.name  # type: ignore[misc]
        self._hooks = LoopHooks([other])

    @hookimpl
    def prepare_denoiser(self, denoiser: Denoiser) -> AbstractContextManager[None]:
        return _entered(self._hooks.prepare_denoiser(denoiser))


@contextmanager
def _entered(contexts: Iterable[AbstractContextManager[None]]) -> Iterator[None]:
    with ExitStack() as undo:
        for context in contexts:
            undo.enter_context(context)
        yield


def only_preparing(accelerator: Accelerator, hooks: LoopHooks) -> Accelerator:
    """An accelerator that prepares and does not bring or choose models, as a probe does itself."""
    decides = ("contribute_denoisers", "select_denoiser", "reuse_residual")
    both = any(accelerator.name in hooks.who(hook) for hook in decides)
    return OnlyPreparing(accelerator) if both else accelerator


def kinds_by_preparation(kinds: Iterable[Kind]) -> Iterator[tuple[tuple[str, ...], list[Kind]]]:
    """Kinds that one probe run can measure together."""
    groups: dict[tuple[str, ...], list[Kind]] = defaultdict(list)
    for kind in kinds:
        groups[kind.prepared_by].append(kind)
    yield from sorted(groups.items())
