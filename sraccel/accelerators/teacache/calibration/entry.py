"""A fit as an entry of the calibration file: the polynomial, and how it came about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from sraccel.accelerators.teacache.calibration.recording import Series
from sraccel.accelerators.teacache.calibration.runs import FullRun
from sraccel.accelerators.teacache.calibration_file import (
    CalibrationEntry,
    SchedulerFacts,
    ThresholdRow,
    num_experts,
    signature_of,
)
from sraccel.accelerators.teacache.coefficients import Coefficients
from sraccel.accelerators.teacache.rule import Rule, Variant
from sraccel.plugin import ConflictError, Denoiser, weights_checksum

if TYPE_CHECKING:
    from sraccel.accelerators.teacache.calibration.fitting import Fit, Points


@dataclass(frozen=True)
class Circumstances:
    """How the runs were made, the same for each denoiser of the pipeline.

    Attributes:
        size: `height`, `width`, `num_frames`, as far as they are known.
    """

    scheduler: SchedulerFacts
    num_inference_steps: int
    size: dict[str, int]
    guidance_scale: float | None


def entry_of(
    denoiser: Denoiser,
    variant: Variant,
    records: Sequence[FullRun],
    points: Points,
    made: Circumstances,
) -> CalibrationEntry:
    """Fit a denoiser's polynomial to its points.

    Raises:
        ConflictError: there are too few different ones.
    """
    from sraccel.accelerators.teacache.calibration.fitting import warnings_of

    found = _fitted(points, denoiser.role)
    return CalibrationEntry(
        role=denoiser.role,
        family=denoiser.family,
        class_name=type(denoiser.module).__name__,
        signature=signature_of(denoiser.config),
        weights=weights_checksum(denoiser.module),
        num_experts=num_experts(denoiser),
        variant=variant.value,
        coefficients=found.coefficients.tolist(),
        r2=found.r2,
        r2_held_out=found.r2_held_out,
        error=found.error,
        error_held_out=found.error_held_out,
        x_range=(float(points.x.min()), float(points.x.max())),
        num_points=len(points.x),
        thresholds=_thresholds(denoiser, variant, records, found),
        changes=changes_of(
            [series for record in records for series in _series(record, denoiser.role)],
            str(variant.modulated_input(denoiser.adapter)),
            made.num_inference_steps,
        ),
        warnings=warnings_of(found, points),
        scheduler=made.scheduler,
        num_inference_steps=[made.num_inference_steps],
        prompts=list(dict.fromkeys(record.prompt for record in records)),
        seeds=sorted({record.seed for record in records}),
        size=made.size,
        latent_shape=_series(records[0], denoiser.role)[0].latent_shape,
        guidance_scale=made.guidance_scale,
        dtype=denoiser.describe()["dtype"],
        versions={name: _version(name) for name in ("sraccel", "torch", "diffusers")},
        date=datetime.now(UTC).date().isoformat(),
    )


def _fitted(points: Points, role: str) -> Fit:
    from sraccel.accelerators.teacache.calibration.fitting import MIN_POINTS, fit

    if points.distinct < MIN_POINTS:
        raise ConflictError(
            f"the input of {role!r} changed by {points.distinct} different amounts, and a "
            f"polynomial of degree 4 needs {MIN_POINTS}: give more steps"
        )
    return fit(points)


def points_of(records: Sequence[FullRun], role: str, name: str) -> Points:
    """The changes of one denoiser's modulated input and of its output, over all runs."""
    import numpy as np

    from sraccel.accelerators.teacache.calibration.fitting import Points

    texts = list(dict.fromkeys(record.prompt for record in records))
    rows = [
        (x, y, texts.index(record.prompt))
        for record in records
        for series in _series(record, role)
        for x, y in series.pairs(name)
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Points(table[:, 0], table[:, 1], table[:, 2].astype(np.int64))


def changes_of(series: Sequence[Series], name: str, steps: int) -> list[float | None]:
    """The mean distance of a modulated input to the step before, for each of so many steps."""
    found: dict[int, list[float]] = defaultdict(list)
    for one in series:
        for step, distance in zip(one.steps, one.inputs[name], strict=True):
            if distance is not None:
                found[step].append(distance)
    means = {step: sum(values) / len(values) for step, values in found.items()}
    return [means.get(step) for step in range(steps)]


def _thresholds(
    denoiser: Denoiser, variant: Variant, records: Sequence[FullRun], found: Fit
) -> list[ThresholdRow]:
    """What the rule would skip of the recorded runs with the fitted polynomial."""
    from sraccel.accelerators.teacache.calibration.fitting import Branch, threshold_table

    polynomial = Coefficients(tuple(found.coefficients.tolist()), "fitted")

    def rule(threshold: float) -> Rule:
        return variant.rule(denoiser.adapter, polynomial, threshold)

    name = rule(0.0).modulated_input
    runs = [
        Branch(series.inputs[name], series.steps, record.num_inference_steps)
        for record in records
        for series in _series(record, denoiser.role)
    ]
    return threshold_table(rule, runs)


def _series(record: FullRun, role: str) -> list[Series]:
    return [series for series in record.series if series.role == role]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on the path
        return "unknown"
