"""Short probe runs, which measure what a call costs outside the accelerated run.

A prediction from the accelerated run's own timings would be circular. So costs come from the bare
run and from probes: the same pipeline call with few steps, in which an internal accelerator
takes one denoiser after the other, computed and skipped by turns, under the kernels that the recipe
prepares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.comparison.costs import Kind
from sraccel.composer import compose
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.hooks import LoopHooks
from sraccel.loop.hookspecs import hookimpl

if TYPE_CHECKING:
    from sraccel.comparison.timed_call import TimedCall
    from sraccel.loop.call import Call
    from sraccel.loop.denoiser import Contribution, Denoiser
    from sraccel.loop.stack import Stack
    from sraccel.loop.step import Step
    from sraccel.report.model import Report

SAMPLES = 3
"""Steps that compute, of each denoiser, and count."""
SKIPS = 2
"""Steps that skip after each of them. They are taken by turns, as in a real run: what a step leaves
in the processor's caches decides what the next one costs, if that is short."""
DESCRIPTION = "probing costs"

Wanted = tuple[str, str | None]
"""(role of a denoiser, what is skipped: `call`, `blocks` or None)"""


def probed(
    call: TimedCall,
    pipe: Any,
    stack: Stack,
    prepared_by: Sequence[str],
    kinds: Sequence[Kind],
    brought: Mapping[str, Contribution],
    *,
    samples: int = SAMPLES,
    description: str = DESCRIPTION,
) -> Report:
    """The report of a probe run.

    Args:
        call: of the pipeline.
        pipe: the pipeline.
        stack: whose accelerators prepare, and whose rule says what is skipped; it is not attached.
        prepared_by: accelerators that prepare the denoisers.
        kinds: what to measure.
        brought: the models that accelerators bring, by role.
        samples: steps that compute, of each denoiser; one more goes before them.
        description: what is reported of its progress.
    """
    schedule = [*schedule_of(kinds, samples)]
    preparing = [
        only_preparing(item, stack.hooks) for item in stack.accelerators if item.name in prepared_by
    ]
    probe = probe_for(schedule, brought, stack.skipping.rule)
    with compose(pipe, [*preparing, probe], adapters=stack.adapters) as probing:
        probing.logs_warnings = False
        call(description, num_inference_steps=len(schedule))
    return probing.report


def warm_up_brought(call: TimedCall, pipe: Any, stack: Stack, steps: int, description: str) -> None:
    """A few steps of the models that accelerators bring: a short run does not reach a switch.

    Args:
        call: of the pipeline.
        pipe: the pipeline.
        stack: whose accelerators bring and prepare; it is not attached.
        steps: of each model.
        description: what is reported of its progress.
    """
    brought = staying(stack)
    if brought:
        probed(
            *(call, pipe, stack, stack.hooks.who("prepare_denoiser")),
            *([Kind(role, None) for role in brought], brought),
            samples=steps - 1,
            description=description,
        )


def staying(stack: Stack) -> dict[str, Contribution]:
    """The models that accelerators bring, but for those that come and go.

    These may not fit beside the others.
    """
    brought = stack.contributions.items()
    return {role: item for role, item in brought if item.placement is None}


def schedule_of(kinds: Sequence[Kind], samples: int) -> Iterator[Wanted]:
    """The steps of a probe, one denoiser's after the other's.

    A denoiser that takes turns with another one would find its weights gone from the processor's
    caches; in a real run, it does not.
    """
    for role in dict.fromkeys(kind.denoiser for kind in kinds):
        levels = {kind.skipped for kind in kinds if kind.denoiser == role} - {None}
        skipped = [(role, level) for level in sorted(map(str, levels)) for _ in range(SKIPS)]
        yield role, None
        yield from [(role, None), *skipped] * samples


class Probe(Accelerator):
    """Takes a (denoiser, what is skipped) in each step, as a schedule says."""

    name = "probe"

    def __init__(self, schedule: Sequence[Wanted], denoisers: Mapping[str, Contribution]) -> None:
        super().__init__(type(self).Options())
        self._schedule = schedule
        self._denoisers = denoisers

    def _kind(self, step_index: int) -> Wanted:
        return self._schedule[min(step_index, len(self._schedule) - 1)]

    @hookimpl
    def contribute_denoisers(self) -> Mapping[str, Contribution]:
        return self._denoisers

    @hookimpl
    def select_denoiser(self, step: Step) -> str:
        return self._kind(step.index)[0]


class SkippingProbe(Probe):
    """A probe that also skips, where something was computed before; as the stack's rule would."""

    name = "skipping-probe"

    def __init__(
        self,
        schedule: Sequence[Wanted],
        denoisers: Mapping[str, Contribution],
        rule: Accelerator | None = None,
    ) -> None:
        super().__init__(schedule, denoisers)
        if rule is not None:
            self.cache_device = rule.cache_device
            self.span_of = rule.span_of  # type: ignore[method-assign]

    def _skips(self, call: Call, level: str) -> bool:
        return self._kind(call.step.index)[1] == level


class BlockSkippingProbe(SkippingProbe):
    """Skips blocks."""

    name = "block-skipping-probe"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return self._skips(call, "blocks")


class CallSkippingProbe(SkippingProbe):
    """Skips calls."""

    name = "call-skipping-probe"

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return self._skips(call, "call")


class FullSkippingProbe(BlockSkippingProbe, CallSkippingProbe):
    """Skips both."""

    name = "full-skipping-probe"


def probe_for(
    schedule: Sequence[Wanted],
    denoisers: Mapping[str, Contribution],
    rule: Accelerator | None = None,
) -> Probe:
    """The probe that takes this schedule."""
    levels = {level for _, level in schedule if level is not None}
    if not levels:
        return Probe(schedule, denoisers)
    kinds = {"blocks": BlockSkippingProbe, "call": CallSkippingProbe}
    kind = kinds[next(iter(levels))] if len(levels) == 1 else FullSkippingProbe
    return kind(schedule, denoisers, rule)


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
    decides = ("contribute_denoisers", "select_denoiser", "skip_call", "skip_blocks")
    both = any(accelerator.name in hooks.who(hook) for hook in decides)
    return OnlyPreparing(accelerator) if both else accelerator
