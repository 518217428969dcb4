"""What TeaCache will skip, where a calibration or its authors' measurements say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sraccel.accelerators.teacache.published_speeds import published_share
from sraccel.plugin import Forecast, Skips, evenly, flow_shift, same_shift

if TYPE_CHECKING:
    from sraccel.accelerators.teacache.calibration_file import CalibrationEntry
    from sraccel.accelerators.teacache.rule import Rule


def forecast_of(
    rules: Mapping[str, Rule | None], steps: int, shift: float | None = None
) -> Forecast:
    """The steps that are skipped in a run of so many.

    Args:
        rules: of each denoiser that may be skipped, by role; None: only the run shows which it is.
        steps: of the run.
        shift: of the run's scheduler; None: not known.
    """
    skips: dict[str, Skips] = {}
    assumes: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    for role, rule in rules.items():
        found = _published(rule) or _replayed(rule, steps, shift)
        if isinstance(found, str):
            unknown.setdefault(found, []).append(role)
        else:
            skips[role], source = found
            assumes.setdefault(source, []).append(role)
    return Forecast(
        skips=skips,
        assumes=_in_words(assumes, "teacache skips steps of {}, {}", "; "),
        unknown=f"what teacache skips ({_in_words(unknown, '{}: {}', ', ')})" if unknown else "",
    )


def _in_words(roles: Mapping[str, Sequence[str]], form: str, between: str) -> str:
    return between.join(form.format(" and ".join(of), why) for why, of in roles.items())


def _published(rule: Rule | None) -> tuple[Skips, str] | None:
    """A share, where the authors' times imply it."""
    if rule is None or not rule.coefficients.model:
        return None
    known = rule.coefficients
    share = published_share(known.model, known.retention, rule.threshold)
    if share is None:
        return None
    return evenly(share), f"{share:.0%} of them, as its authors' times of whole runs imply"


def _replayed(rule: Rule | None, steps: int, shift: float | None) -> tuple[Skips, str] | str:
    """The rule on the changes that a calibration recorded; or why that cannot be."""
    entry = None if rule is None else rule.coefficients.entry
    if rule is None or entry is None or not entry.changes:
        return "no changes from step to step, which `sraccel calibrate teacache` records"
    if entry.num_inference_steps != [steps]:
        return f"the calibration is of {', '.join(map(str, entry.num_inference_steps))} steps"
    made_at = flow_shift(entry.scheduler.config) if entry.scheduler else None
    if shift is not None and made_at is not None and not same_shift(shift, made_at):
        return (
            f"the calibration was made at flow shift {made_at:g}, and the scheduler's is {shift:g}"
        )

    def skips(taken: Sequence[int]) -> list[int]:
        changes = [None, *(entry.changes[step] for step in taken[1:])]
        return [*rule.skipped(changes, taken, steps)]

    return skips, f"by its rule on the changes of its calibration's runs{_size(entry)}"


def _size(entry: CalibrationEntry) -> str:
    """` (at 64 x 64 x 8)`, as these runs were."""
    return f" (at {' x '.join(map(str, entry.size.values()))})" if entry.size else ""
