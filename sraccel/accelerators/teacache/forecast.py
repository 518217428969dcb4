"""What TeaCache will skip, where a calibration or its authors' measurements say so."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sraccel.accelerators.teacache.published_speeds import published_share
from sraccel.plugin import Forecast, flow_shift, same_shift

if TYPE_CHECKING:
    from sraccel.accelerators.teacache.calibration_file import ThresholdRow
    from sraccel.accelerators.teacache.coefficients import Coefficients


def forecast_of(
    found: Mapping[str, Sequence[Coefficients]],
    threshold: float,
    steps: int,
    shift: float | None = None,
) -> Forecast:
    """The shares of skipped steps in a run of so many.

    Args:
        found: the candidates for each denoiser that may be skipped, by role.
        threshold: as the option gives it.
        steps: of the run.
        shift: of the run's scheduler; None: not known.
    """
    if threshold == 0:
        return Forecast()
    shares: dict[str, tuple[float, float]] = {}
    published: list[str] = []
    sizes: list[str] = []
    unknown: dict[str, list[str]] = {}
    for role, candidates in found.items():
        share = expected_share(candidates, threshold, steps, shift)
        if isinstance(share, str):
            unknown.setdefault(share, []).append(role)
        else:
            shares[role] = (share, share)
            entry = candidates[0].entry
            published += [role] if entry is None else []
            sizes += [_size(entry.size)] if entry is not None and entry.size else []
    reasons = ", ".join(f"{' and '.join(roles)}: {why}" for why, roles in unknown.items())
    return Forecast(
        skipped=shares,
        assumes=_in_words(shares, published, sizes),
        unknown=f"what teacache skips ({reasons})" if reasons else "",
    )


def expected_share(
    candidates: Sequence[Coefficients], threshold: float, steps: int, shift: float | None = None
) -> float | str:
    """Share of a denoiser's steps that is skipped, or why it is not known."""
    only = candidates[0] if len(candidates) == 1 else None
    if only is not None and only.model:
        share = published_share(only.model, only.retention, threshold)
        if share is not None:
            return share
    entry = None if only is None else only.entry
    if entry is None or not entry.thresholds:
        return "no table of thresholds, which `sraccel calibrate teacache` makes"
    if entry.num_inference_steps != [steps]:
        numbers = ", ".join(map(str, entry.num_inference_steps)) or "unknown numbers of"
        return f"the table is of {numbers} steps"
    made_at = flow_shift(entry.scheduler.config) if entry.scheduler else None
    if shift is not None and made_at is not None and not same_shift(shift, made_at):
        return f"the table was made at flow shift {made_at:g}, and the scheduler's is {shift:g}"
    rows = sorted(entry.thresholds, key=lambda row: row.threshold)
    if not rows[0].threshold <= threshold <= rows[-1].threshold:
        return f"the table goes from {rows[0].threshold:g} to {rows[-1].threshold:g}"
    return _interpolated(rows, threshold)


def _interpolated(rows: Sequence[ThresholdRow], threshold: float) -> float:
    for low, high in itertools.pairwise(rows):
        if low.threshold <= threshold <= high.threshold and low.threshold < high.threshold:
            along = (threshold - low.threshold) / (high.threshold - low.threshold)
            return low.skipped + along * (high.skipped - low.skipped)
    return rows[0].skipped


def _size(size: Mapping[str, int]) -> str:
    """`64 x 64 x 8`, as the calibration's runs were."""
    return " x ".join(map(str, size.values()))


def _in_words(
    shares: Mapping[str, tuple[float, float]], published: Sequence[str], sizes: Sequence[str]
) -> str:
    listed = ", ".join(f"{share:.0%} of the {role} steps" for role, (share, _) in shares.items())
    at = f" (at {' and '.join(dict.fromkeys(sizes))})" if sizes else ""
    sources = [f"as in the calibration's whole runs{at}"] * (len(published) < len(shares))
    sources += ["as its authors' published times imply"] * bool(published)
    return f"teacache skips {listed}, {' or '.join(sources)}" if shares else ""
