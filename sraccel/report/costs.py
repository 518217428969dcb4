"""What a call costs: measured outside the accelerated run, by short probe runs.

A prediction from the accelerated run's own timings would be circular. So costs come from the bare
run and from probes: the same pipeline call with few steps, in which an internal accelerator
takes every (denoiser, computed or reused) in turn, under the kernels that the recipe prepares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sraccel.accelerator import Accelerator
from sraccel.clock import median
from sraccel.hookspecs import hookimpl

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sraccel.call import Call
    from sraccel.report.model import Report
    from sraccel.step import Step


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
    """Seconds of calls by kind, and of the rest of a step."""

    samples: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))
    rest_of_step: list[float] = field(default_factory=list)

    def take(self, report: Report, prepared_by: tuple[str, ...], *, rest: bool = False) -> None:
        """Add the calls of a run; with `rest`, also what its steps took beside their calls."""
        for step in report.steps:
            seconds = [call.seconds for call in step.calls if call.seconds is not None]
            for call in step.calls:
                if call.seconds is not None:
                    kind = Kind(call.denoiser, call.reused, prepared_by)
                    self.samples[kind].append(call.seconds)
            if rest and step.seconds is not None:
                self.rest_of_step.append(step.seconds - sum(seconds))

    def seconds(self, kind: Kind) -> float | None:
        """Median seconds of a kind of call; None if it was never measured."""
        return median(self.samples[kind]) if kind in self.samples else None


class Probe(Accelerator):
    """Takes each (denoiser, computed or reused) in turn, step by step."""

    name = "probe"

    def __init__(
        self, schedule: Iterable[tuple[str, bool]], denoisers: Mapping[str, nn.Module]
    ) -> None:
        super().__init__(Probe.Options())
        self._schedule = list(schedule)
        self._denoisers = denoisers

    @hookimpl
    def contribute_denoisers(self) -> Mapping[str, nn.Module]:
        return self._denoisers

    @hookimpl
    def select_denoiser(self, step: Step) -> str:
        return self._schedule[step.index % len(self._schedule)][0]

    @hookimpl
    def reuse_residual(self, call: Call) -> Any:
        reused = self._schedule[call.step.index % len(self._schedule)][1]
        return call.block_input.new_zeros(call.block_input.shape) if reused else None

    @hookimpl
    def residual_computed(self, call: Call, residual: torch.Tensor) -> None:
        kept: list[torch.Tensor] = call.memory(self, list)
        kept[:] = [residual]


def kinds_by_preparation(kinds: Iterable[Kind]) -> Iterator[tuple[tuple[str, ...], list[Kind]]]:
    """Kinds that one probe run can measure together."""
    groups: dict[tuple[str, ...], list[Kind]] = defaultdict(list)
    for kind in kinds:
        groups[kind.prepared_by].append(kind)
    yield from sorted(groups.items())
