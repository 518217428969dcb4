"""What is said first of a run, wherever it is shown: its title, what to know, the key figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.claim import claim, drawn_run, grounds, noise_notices
from sraccel.report.words import (
    DASH,
    IDENTICAL,
    NOT_MEASURED,
    chain,
    counted,
    decimals,
    digits,
    duration,
    factor,
    finite,
    metric,
    positive,
    share,
    size,
    spoken,
    with_remark,
)

if TYPE_CHECKING:
    from sraccel.report.model import CallRecord, HandoffRecord, Report, Timing

Facts = list[tuple[str, str]]
"""Names and values."""


@dataclass(frozen=True)
class KeyFigure:
    """A number, its name, and what it is a number of."""

    label: str
    value: str
    detail: str = ""

    @property
    def missing(self) -> bool:
        """Whether there is no number."""
        return self.value == NOT_MEASURED


def title(report: Report) -> str:
    """What was run, for the window's title and the heading."""
    return chain(record.name for record in report.accelerators) or "empty stack"


def notices(report: Report) -> list[str]:
    """What to know before reading a number; a run that did not finish comes first."""
    known = [*report.warnings, *noise_notices(report)]
    if report.outcome == "finished":
        return known
    steps = f"{len(report.steps)} of {report.num_inference_steps} steps were taken"
    return [f"The run is not whole: {report.outcome}; {steps}.", *known]


def figures(report: Report) -> list[KeyFigure]:
    """Speed first, then quality, then cost."""
    speed = [_measured(report), *_without_emulation(report), _predicted(report)]
    return [*speed, *_quality(report), *_rival(report), *_cost(report), *_ranks(report)]


def _measured(report: Report) -> KeyFigure:
    if finite(report.speedup.measured) is None:
        return KeyFigure("Measured speedup", NOT_MEASURED, "no bare run to compare with")
    return KeyFigure("Measured speedup", claim(report.speedup), grounds(report))


def _without_emulation(report: Report) -> Iterator[KeyFigure]:
    """The speedup less what emulated kernels cost: they show a quality and claim no speed."""
    measured = finite(report.speedup.measured)
    costs = {
        record.name: cost
        for record in report.accelerators
        if (cost := positive(record.overhead)) is not None and cost < 1
    }
    if measured is None or not costs or report.speedup.verdict in ("idle", "indistinguishable"):
        return
    cost = math.prod(costs.values())
    detail = f"the measured one without the {factor(cost)} of {', '.join(costs)}"
    yield KeyFigure("Without emulating", factor(measured / cost), detail)


def _predicted(report: Report) -> KeyFigure:
    value, rest = factor(report.speedup.predicted, missing=NOT_MEASURED), report.speedup.rest
    if value == NOT_MEASURED:
        return KeyFigure("Predicted speedup", value, "no costs to predict from")
    told = report.speedup.verdict not in ("idle", "indistinguishable")
    known = finite(rest) is not None and told
    ratio = f"measured / predicted {decimals(rest, 2)}" if known else "from the decisions made"
    return KeyFigure("Predicted speedup", value, ratio)


def _quality(report: Report) -> Iterator[KeyFigure]:
    if not report.quality:
        yield KeyFigure("Quality", NOT_MEASURED, "nothing to compare the video with")
    for name, number in (report.quality or {}).items():
        value = metric(name).value(number)
        compared = "with the bare run" if value == IDENTICAL else "to the bare run"
        yield KeyFigure(metric(name).title, value if value != DASH else NOT_MEASURED, compared)


def _rival(report: Report) -> Iterator[KeyFigure]:
    """What fewer steps give at the same cost, in the metrics that the recipe is measured by."""
    rival = report.rival
    if rival is None:
        return
    quality = [
        f"{metric(name).title} {metric(name).value(number)}"
        for name, number in (rival.quality or {}).items()
    ]
    how = "placed by calibration" if rival.placement == "calibrated" else "uniform, uncalibrated"
    detail = [f"{rival.steps} steps, {how}, no accelerator", *quality]
    yield KeyFigure("Rival: fewer steps", factor(rival.speedup), "; ".join(detail))


def _cost(report: Report) -> Iterator[KeyFigure]:
    ours, bare = report.accelerated, report.baseline
    parts = [*_cpu(ours), ", ".join([f"bare {_loop(bare)}", *_cpu(bare)])]
    parts += [f"{report.num_inference_steps} steps", *drawn_run(report)]
    yield KeyFigure("Denoising", _loop(ours), "; ".join(parts))
    cuda = report.environment.get("device", "").startswith("cuda")
    meaning = "allocated by torch in the run" if cuda else "most that the process has held so far"
    peak = size(report.peak_memory_bytes)
    yield KeyFigure("Peak memory", peak, "" if peak == NOT_MEASURED else meaning)


def _ranks(report: Report) -> Iterator[KeyFigure]:
    """How many processes made the video, and what they agreed upon."""
    ranks = report.ranks
    if ranks is None:
        return
    shards = len(ranks.sequence)
    over = f"one sequence over {shards}" if shards > 1 else "whole sequences"
    agreed = ", ".join(f"{number} {what}" for what, number in sorted(ranks.agreed.items()))
    own = f"rank {ranks.rank} was overruled {counted(ranks.overruled, 'time')}"
    detail = [over, f"agreed on {agreed}" if agreed else "nothing was agreed on", own]
    yield KeyFigure("Ranks", str(len(ranks.members)), "; ".join(detail))


def _loop(timing: Timing | None) -> str:
    return duration(timing.seconds if timing else None)


def _cpu(timing: Timing | None) -> list[str]:
    """CPU time beside wall time: the two part where other work took the processor."""
    seconds = finite(timing.cpu_seconds) if timing else None
    return [] if seconds is None else [f"CPU {duration(seconds)}"]


def switch_facts(report: Report) -> Facts:
    """Where the model was switched and by whom, and how the hand-off went."""
    facts: Facts = []
    at = report.switch_step
    if at is not None:
        calls = (call for step in report.steps if step.index == at for call in step.calls)
        call = next((call for call in calls if call.chosen_by), None)
        chosen = f", where {call.chosen_by} chose {call.denoiser}" if call else ""
        facts.append(("switch", f"at step {at}{chosen}{_decided_by(report, call)}"))
    return facts + (list(_handoff(report.handoff)) if report.handoff else [])


DECIDED_BY = "switch_decided_by"
"""A note in which an accelerator that chooses models may say why it did when it did."""


def _decided_by(report: Report, call: CallRecord | None) -> str:
    """What let the accelerator choose then, where it says so."""
    notes = [
        record.notes for record in report.accelerators if call and record.name == call.chosen_by
    ]
    reasons = [spoken(known[DECIDED_BY]) for known in notes if known.get(DECIDED_BY)]
    return f"; decided by {reasons[0]}" if reasons else ""


def _handoff(handoff: HandoffRecord) -> Iterator[tuple[str, str]]:
    yield "hand-off", handoff.kind
    before, after = handoff.noise_level_before, handoff.noise_level_after
    if before is not None and after is not None:
        yield "noise level", f"{digits(before)} before the switch, {digits(after)} after it"
    if handoff.first_step is not None:
        yield "next schedule", f"begun at step {handoff.first_step}"
    if handoff.seconds is not None:
        part = f", {share(handoff.share)} of the run" if finite(handoff.share) is not None else ""
        work = {"decoding": handoff.decode_seconds, "encoding": handoff.encode_seconds}
        parts = [f"{name} {duration(value)}" for name, value in work.items() if value is not None]
        yield "hand-off time", with_remark(duration(handoff.seconds) + part, ", ".join(parts))
