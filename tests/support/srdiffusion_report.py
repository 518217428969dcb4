"""What SRDiffusion says of itself in a report."""

from __future__ import annotations

from sraccel.report.model import Report, StepRecord

D = "srdiffusion.noise_rel_l1"
D_PER_STEP = "srdiffusion.noise_rel_l1_per_step"


def d_of(step: StepRecord) -> float | None:
    """The relative change of the guided prediction, where it was measured."""
    return step.measured.get(D)


def switch_rule(report: Report) -> str | None:
    """The rule that decided the switch."""
    notes = next(item.notes for item in report.accelerators if item.name == "srdiffusion")
    return notes.get("switch_rule")
