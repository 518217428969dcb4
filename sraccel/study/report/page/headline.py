"""The figures that answer a reader's first questions: how fast, how good, and do they add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sraccel.report.page.figures import Figure
from sraccel.report.page.words import DASH, NOT_MEASURED, listed
from sraccel.study.report.words import (
    IDENTICAL,
    TOO_FEW,
    decimals,
    factor,
    full_stack,
    full_stacks,
    interval,
    known,
    metric,
    quality,
    side,
    weakest_pair,
)

if TYPE_CHECKING:
    from sraccel.study.report_model import CellResult, Estimate, StudyReport


def figures(report: StudyReport, names: Sequence[str]) -> list[Figure]:
    """Speed of the full stack, its quality, and the pair that keeps least."""
    cell = full_stack(report)
    if cell is None or not cell.finished:
        found = [_missing("Full stack", "none of its runs finished" if cell else "it was not run")]
    else:
        found = [
            _speedup("Full stack", cell.speedup, _of(report, cell)),
            _speedup("Whole call", cell.whole_call, "decoding included"),
            *(_quality(cell, name) for name in names),
        ]
    if len(report.accelerators) > 1 or report.analysis.pairs:
        found.append(_pair(report))
    return found


def _of(report: StudyReport, cell: CellResult) -> str:
    """What is the speedup's; of several full stacks, which one."""
    stacks = len(full_stacks(report))
    which = f" of {cell.name}, the first of {stacks}" if stacks > 1 else ""
    return f"of the denoising loop{which}"


def _speedup(label: str, estimate: Estimate | None, of: str) -> Figure:
    value = known(estimate)
    if value is None:
        return _missing(label, "no bare run to compare with")
    return Figure(label, factor(value), f"{interval(estimate, 2) or TOO_FEW}; {of}")


def _missing(label: str, why: str) -> Figure:
    return Figure(label, NOT_MEASURED, why, missing=True)


def _quality(cell: CellResult, name: str) -> Figure:
    written = metric(name)
    label = written.label[:1].upper() + written.label[1:]
    value = quality(cell, name)
    if value == DASH:
        return _missing(label, "of the full stack")
    if value == IDENTICAL:
        return Figure(label, value, "full stack, to the bare run")
    unit = f" {written.unit}" if written.unit else ""
    return Figure(label, f"{value}{unit}", "; ".join(_details(cell, name)))


def _details(cell: CellResult, name: str) -> Iterator[str]:
    written = metric(name)
    yield interval(cell.quality.get(name), written.places) or "full stack"
    lost = known(cell.loss.get(name))
    if lost is not None and not written.loss:
        bounds = interval(cell.loss.get(name), written.loss_places)
        yield f"lost to bare {decimals(lost, written.loss_places)}" + f" ({bounds})" * bool(bounds)


def _pair(report: StudyReport) -> Figure:
    label = "Least orthogonal pair"
    pair = weakest_pair(report)
    if pair is None:
        why = next((pair.why for pair in report.analysis.pairs if pair.why), None)
        return _missing(label, why or "no pair was run with both of its singles")
    both = listed(pair.accelerators)
    kept = decimals(known(pair.kept), 3)
    bounds = interval(pair.kept, 3)
    told = {
        None: f"; {TOO_FEW}",
        0: f" ({bounds}): that cannot be told apart from adding up",
    }.get(side(pair.kept, 1.0), f" ({bounds})")
    said = f"{both} keep {kept} of what they promise{told}"
    index = known(pair.index)
    if index is None:
        return Figure(label, f"{kept} kept", said)
    width = interval(pair.index, 2)
    return Figure(label, f"index {decimals(index, 2)}", f"{width}; {said}" if width else said)
