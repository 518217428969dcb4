"""Predicting a speedup from decisions and costs, and attributing it to accelerators.

The accelerated run's decisions are replayed for every prefix of the recipe: what an absent
accelerator decided is undone (its model switch, its skipped calls and blocks, its answers, the
steps that it left out, its prepared kernel). The ratio
of one prefix's time to the next one's is the factor of the accelerator between them, and the
factors multiply to the predicted speedup. It is exact for the decisions made; it is not what an
accelerator would do alone, since alone it might decide otherwise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from sraccel.comparison.costs import Costs, Kind, shares_of
from sraccel.report.model import AcceleratorRecord, CallRecord, EvaluationRecord, Report


def kinds_of(call: CallRecord, present: Sequence[AcceleratorRecord]) -> list[Kind]:
    """What a call would have been if only these accelerators had acted: calls of denoisers."""
    names = {accelerator.name for accelerator in present}
    if call.answered_by in names:
        return [kind_of(one, present) for one in call.evaluations]
    return [kind_of(call, present)]


def kind_of(call: EvaluationRecord, present: Sequence[AcceleratorRecord]) -> Kind:
    """The same of one evaluation of a denoiser."""
    names = {accelerator.name for accelerator in present}
    return Kind(
        denoiser=call.denoiser if call.chosen_by in names else call.requested,
        skipped=call.level if call.reused_by in names else None,
        prepared_by=tuple(accelerator.name for accelerator in present if accelerator.prepares),
        shares=tuple((name, share) for name, share in shares_of(call) if name in names),
    )


def prefixes(accelerators: Sequence[AcceleratorRecord]) -> Iterator[Sequence[AcceleratorRecord]]:
    """The empty stack, the first accelerator, the first two, ... all of them."""
    for length in range(len(accelerators) + 1):
        yield accelerators[:length]


def kinds_needed(report: Report) -> set[Kind]:
    """Every kind of call that a prediction for this run asks the cost of."""
    return {kind for present in prefixes(report.accelerators) for kind in kinds_in(report, present)}


def predict(report: Report) -> None:
    """Fill in `speedup.predicted` and the accelerators' factors, from the report's own costs."""
    costs, own = Costs.of(report.costs), _own_costs(report)
    stacks = list(prefixes(report.accelerators))
    seconds = [loop_seconds(report, present, costs, own) for present in stacks]
    estimated = [
        any(kind not in costs.samples for kind in kinds_in(report, present)) for present in stacks
    ]
    if not report.steps or not all(math.isfinite(value) and value > 0 for value in seconds):
        return
    report.speedup.predicted = seconds[0] / seconds[-1]
    for record, (before, after), guessed in zip(
        report.accelerators, itertools.pairwise(seconds), estimated[1:], strict=True
    ):
        factor = before / after
        record.factor = factor if record.claims_speed else None
        record.overhead = None if record.claims_speed else factor
        record.estimated = guessed


def loop_seconds(
    report: Report, present: Sequence[AcceleratorRecord], costs: Costs, *estimates: Costs
) -> float:
    """Seconds of the denoising loop if only these accelerators had acted; NaN: a cost is not known.

    Args:
        report: whose steps say what was decided.
        present: of its accelerators.
        costs: what a call and the rest of a step cost.
        estimates: where to look for the cost of a call that is not among them.
    """
    steps = [_kinds(step.calls, present) for step in report.steps]
    calls = [kind for step in steps for kind in step]
    spent = {kind: _seconds(kind, costs, *estimates) for kind in {*calls}}
    rests = [costs.rest(step[-1]) for step in steps if step]
    whole = sum(spent[kind] for kind in calls) + sum(rests)
    return whole * steps_left_out(report, present)


def kinds_in(report: Report, present: Sequence[AcceleratorRecord]) -> Iterator[Kind]:
    """The kind of each call that the run would have had if only these accelerators had acted."""
    return (kind for step in report.steps for kind in _kinds(step.calls, present))


def _kinds(calls: Sequence[CallRecord], present: Sequence[AcceleratorRecord]) -> list[Kind]:
    return [kind for call in calls for kind in kinds_of(call, present)]


def steps_left_out(report: Report, present: Sequence[AcceleratorRecord]) -> float:
    """How many times as many steps there are where nobody plans them."""
    if report.asked_steps is None or report.planned_by in {one.name for one in present}:
        return 1.0
    return report.asked_steps / max(report.num_inference_steps, 1)


def _seconds(kind: Kind, *costs: Costs) -> float:
    """Seconds of a kind of call by the first that knows it, else NaN."""
    known = (one.seconds(kind) for one in costs)
    return next((seconds for seconds in known if seconds is not None), math.nan)


def _own_costs(report: Report) -> Costs:
    """The accelerated run's own: what was not measured otherwise is estimated by them."""
    costs = Costs()
    costs.take(report, tuple(item.name for item in report.accelerators if item.prepares))
    return costs
