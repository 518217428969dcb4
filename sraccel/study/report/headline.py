"""What is said first of a study, wherever it is shown: what was run, what to know, the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sraccel.report.headline import KeyFigure
from sraccel.report.words import (
    DASH,
    IDENTICAL,
    NOT_MEASURED,
    chain,
    counted,
    finite,
    listed,
    metric,
    share,
    spoken,
)
from sraccel.study.report.cells import full_stack, full_stacks, quality
from sraccel.study.report.estimates import FEWEST, TOO_FEW, known, number, side, times

if TYPE_CHECKING:
    from sraccel.study.results import CellResult, Estimate, Pair, StudyReport

STOPPED = {
    "budget": "The study is not whole: its time was up",
    "interrupted": "The study is not whole: it was interrupted",
}
ADDS_UP = "cannot be distinguished from adding up"


def title(report: StudyReport) -> str:
    """The study's name, or what it studied."""
    return report.name or chain(report.accelerators) or "empty stack"


def what_was_run(report: StudyReport) -> str:
    """`19 cells, 12 blocks (4 prompts and 3 seeds) in 2 rounds: 456 of 456 runs.`"""
    prompts, seeds = len(report.prompts), len(report.seeds)
    blocks = f"{counted(prompts * seeds, 'block')}"
    made = f"{counted(prompts, 'prompt')} and {counted(seeds, 'seed')}"
    rounds = f"in {counted(report.repeats, 'round')}"
    cells = counted(len(report.analysis.cells), "cell")
    return f"{cells}, {blocks} ({made}) {rounds}: {report.done:,} of {report.planned:,} runs."


def on_what(report: StudyReport) -> str:
    """The device, the number of steps, and how sure the intervals are."""
    parts = []
    if device := report.environment.get("device"):
        parts.append(device)
    bare = next((cell for cell in report.analysis.cells if cell.kind == "bare"), None)
    steps = report.call.get("num_inference_steps") or (bare and bare.num_inference_steps)
    if steps:
        parts.append(f"{steps} denoising steps")
    level = finite(report.analysis.level)
    if level is not None:
        parts.append(f"intervals of {share(level)} over {report.analysis.drawn}")
    return ", ".join(parts)


def design_facts(report: StudyReport) -> Iterator[tuple[str, str]]:
    """How the study was designed, and how far it came."""
    analysis = report.analysis
    yield "design", report.design
    yield "accelerators", spoken(report.accelerators)
    yield "seeds", spoken(report.seeds)
    yield "rounds", str(report.repeats)
    yield "runs", f"{report.done:,} of {report.planned:,}"
    if report.stopped:
        yield "ended by", report.stopped
    level = share(analysis.level)
    yield "intervals", f"{level}, {counted(analysis.resamples, 'resample')} of the {analysis.drawn}"
    if finite(analysis.precision) is not None:
        yield "precision", f"\N{PLUS-MINUS SIGN}{100 * (analysis.precision or 0.0):.2g} %"


def notices(report: StudyReport) -> list[str]:
    """What to know before reading a number; what is missing comes first."""
    return [*_lacks(report), *report.warnings]


def _lacks(report: StudyReport) -> Iterator[str]:
    if report.done < report.planned:
        why = STOPPED.get(report.stopped, "The study is not whole")
        yield f"{why}; {report.done:,} of {report.planned:,} runs are there."
    elif report.stopped in STOPPED:
        yield f"{STOPPED[report.stopped]}; no further round was begun."
    failed = [cell.name for cell in report.analysis.cells if cell.failed]
    if failed:
        shown = listed(failed[:3] + [f"{len(failed) - 3} more"] * (len(failed) > 3))
        yield f"Runs failed in {counted(len(failed), 'cell')}: {shown}."
    if report.analysis.blocks < FEWEST:
        blocks = counted(report.analysis.blocks, "block")
        yield f"No intervals, of {blocks}: nothing says how sure the figures are."


def figures(report: StudyReport, names: Sequence[str]) -> list[KeyFigure]:
    """Speed of the full stack, its quality by each metric, and the pair that keeps least."""
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


def _speedup(label: str, estimate: Estimate | None, of: str) -> KeyFigure:
    speed = times(estimate)
    if speed.value == DASH:
        return _missing(label, "no bare run to compare with")
    return KeyFigure(label, speed.value, f"{speed.interval or TOO_FEW}; {of}")


def _missing(label: str, why: str) -> KeyFigure:
    return KeyFigure(label, NOT_MEASURED, why)


def _quality(cell: CellResult, name: str) -> KeyFigure:
    said, label = quality(cell, name), metric(name).title
    if said.value == DASH:
        return _missing(label, "of the full stack")
    if said.value == IDENTICAL:
        return KeyFigure(label, said.value, "full stack, to the bare run")
    details = [said.interval or "full stack"]
    lost = number(cell.loss.get(name), metric(name).loss_places)
    if lost.value != DASH and not metric(name).loss:
        details.append(f"lost to bare {lost}")
    return KeyFigure(label, metric(name).value(known(cell.quality[name])), "; ".join(details))


def _pair(report: StudyReport) -> KeyFigure:
    label = "Least orthogonal pair"
    pair = weakest_pair(report)
    if pair is None:
        why = next((pair.why for pair in report.analysis.pairs if pair.why), None)
        return _missing(label, why or "no pair was run with both of its singles")
    kept, index = number(pair.kept, 3), number(pair.index, 2)
    sure = {None: f"; {TOO_FEW}", 0: f": that {ADDS_UP}"}.get(side(pair.kept, 1.0), "")
    said = f"{listed(pair.accelerators)} have {kept} of the product of their speedups{sure}"
    if index.value == DASH:
        return KeyFigure(label, f"{kept.value} kept", said)
    return KeyFigure(label, f"index {index.value}", "; ".join(filter(None, [index.interval, said])))


def weakest_pair(report: StudyReport) -> Pair | None:
    """The pair that keeps least of what its accelerators promise."""
    pairs = [pair for pair in report.analysis.pairs if known(pair.kept) is not None]
    return min(pairs, key=lambda pair: known(pair.kept) or 0.0, default=None)


def verdict(pair: Pair) -> str:
    """How two accelerators go together, in words."""
    ratio = known(pair.kept)
    if ratio is None:
        return pair.why or "could not be estimated"
    said = {
        None: f"{TOO_FEW}: whether they add up is not known",
        0: ADDS_UP,
        -1: f"they lose to each other: {share(ratio)} of the product of their speedups",
        1: f"they help each other: {share(ratio)} of the product of their speedups",
    }[side(pair.kept, 1.0)]
    slower = side(pair.best_single, 1.0) == -1
    return f"{said}; slower than the faster one alone" if slower else said
