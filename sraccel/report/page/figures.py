"""What a page says first: its title, what a reader must know, and the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.page.words import NOT_MEASURED, duration, finite, name, size, times
from sraccel.video.metrics import PSNR_CAP

if TYPE_CHECKING:
    from sraccel.report.model import Report, Timing

METRICS = {"psnr_db": ("PSNR", "{:.1f} dB"), "ssim": ("SSIM", "{:.3f}")}


@dataclass(frozen=True)
class Figure:
    """A number, its name, and what it is a number of."""

    label: str
    value: str
    detail: str = ""
    missing: bool = False


def title(report: Report) -> str:
    """What was run, for the window's title and the heading."""
    return " + ".join(record.name for record in report.accelerators) or "empty stack"


def notices(report: Report) -> list[str]:
    """What to know before reading a number; a run that did not finish comes first."""
    if report.outcome == "finished":
        return list(report.warnings)
    steps = f"{len(report.steps)} of {report.num_inference_steps} steps were taken"
    return [f"The run is not whole: {report.outcome}; {steps}.", *report.warnings]


def figures(report: Report) -> list[Figure]:
    """The headline: speed first, then quality, then cost."""
    return [_measured(report), _predicted(report), *_quality(report), *_cost(report)]


def _figure(label: str, value: str, detail: str = "") -> Figure:
    return Figure(label, value, detail, missing=value == NOT_MEASURED)


def _measured(report: Report) -> Figure:
    speedup = report.speedup
    value = times(speedup.measured)
    if value == NOT_MEASURED:
        return _figure("Measured speedup", value, "no bare run to compare with")
    pairs = len(report.accelerated.repeats) if report.accelerated else 0
    detail = "one pair of runs"
    if speedup.measured_range is not None and pairs > 1:
        least, greatest = speedup.measured_range
        detail = f"{times(least)} to {times(greatest)}, {pairs} pairs of runs"
    whole = f"; the whole call {times(speedup.whole_call)}" * (speedup.whole_call is not None)
    return _figure("Measured speedup", value, f"{detail}{whole}")


def _predicted(report: Report) -> Figure:
    value, rest = times(report.speedup.predicted), finite(report.speedup.rest)
    if value == NOT_MEASURED:
        return _figure("Predicted speedup", value, "no costs to predict from")
    ratio = f"measured / predicted {rest:.2f}" if rest is not None else "from the decisions made"
    return _figure("Predicted speedup", value, ratio)


def _quality(report: Report) -> Iterator[Figure]:
    if not report.quality:
        yield _figure("Quality", NOT_MEASURED, "nothing to compare the video with")
        return
    for metric, number in report.quality.items():
        label, form = METRICS.get(metric, (name(metric), "{:.4g}"))
        value = NOT_MEASURED if finite(number) is None else form.format(number)
        same = metric == "psnr_db" and number >= PSNR_CAP
        yield _figure(label, value, "identical to the bare run" if same else "to the bare run")


def _cost(report: Report) -> Iterator[Figure]:
    bare = f"bare {_loop(report.baseline)}"
    steps = f"{report.num_inference_steps} steps"
    yield _figure("Denoising", _loop(report.accelerated), f"{bare}; {steps}")
    cuda = report.environment.get("device", "").startswith("cuda")
    meaning = "allocated by torch in the run" if cuda else "most that the process has held so far"
    peak = report.peak_memory_bytes
    yield _figure("Peak memory", size(peak), "" if peak is None else meaning)


def _loop(timing: Timing | None) -> str:
    return duration(timing.seconds if timing else None)
