"""The report of a study, from what is on disk."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.errors import OutputError
from sraccel.recipe.catalogue import installed
from sraccel.study.analysis import analyse
from sraccel.study.cell import BARE, Block, Cell, CellRun
from sraccel.study.plan.design import showcase_cells
from sraccel.study.results import Analysis, Showcase, StudyReport, Timeline
from sraccel.study.runs.judging import video_path

if TYPE_CHECKING:
    from sraccel.report.model import Report
    from sraccel.study.runs.store import Store

MOST_WARNINGS = 12
DEVICE_ID = re.compile(r" [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""At the end of a GPU's name."""


def assemble(store: Store) -> StudyReport:
    """Everything that a study's folder holds.

    Raises:
        OutputError: nothing was run yet.
    """
    facts = store.facts()
    if not facts:
        raise OutputError(f"{store.path.parent}: no run of this study was begun", path=store.path)
    plan = facts["plan"]
    runs = store.records()
    wanted = _blocks(plan)
    records = [record for record in runs.values() if record.block in set(wanted)]
    cells = [Cell.model_validate(content) for content in store.header.cells.values()]
    analysis = analyse(
        records,
        cells,
        facts["accelerators"],
        design=plan["design"],
        losses=losses(),
        limits=limits(),
    )
    _add_steps(analysis, records)
    warnings = [*_study_warnings(store, records, analysis, facts), *_forget_losses(analysis)]
    rounds = 1 + max((record.repeat for record in records), default=0)
    shown = wanted[: plan["show"]], showcase_cells(cells)
    return StudyReport(
        **_what_was_asked(store, facts),
        repeats=rounds,
        done=len({(record.cell, record.block, record.repeat) for record in records}),
        planned=_planned(records, cells, wanted, rounds),
        stopped=store.ended(),
        devices=dict(Counter(run.device for run in records if run.outcome == "finished")),
        warnings=[*warnings, *_without_videos(store, records, *shown)],
        analysis=analysis,
        showcases=list(_showcases(store, runs, *shown)),
    )


def _what_was_asked(store: Store, facts: dict[str, Any]) -> dict[str, Any]:
    """What a report repeats of the study's plan, and of the pipeline that its runs had."""
    header = store.header
    content = {name: facts[name] for name in ("name", "description", "accelerators", "recipe")}
    content |= {name: facts["plan"][name] for name in ("design", "prompts", "seeds")}
    content |= {"versions": header.versions, "environment": header.environment}
    model = {"pipeline": header.pipeline, **header.models}
    return {**content, "call": header.call, "model": model}


def limits() -> dict[str, tuple[float, float]]:
    """Between which values a metric or a score lies, of those that say so."""
    metrics, scores = installed().metrics, installed().scores
    found = {name: metric.limits for name, metric in metrics.items()}
    found |= {name: score.limits for name, score in scores.items()}
    return {name: limits for name, limits in found.items() if limits is not None}


def losses() -> dict[str, Callable[[float, float], float]]:
    """What a value of a metric says is lost, for those that say so themselves.

    The functions take the value, and that of the bare video beside itself.
    """
    metrics = installed().metrics.items()
    return {name: _lost(metric.loss) for name, metric in metrics if metric.loss is not None}


def _lost(loss: Callable[[float], float]) -> Callable[[float, float], float]:
    return lambda value, bare: loss(value) - loss(bare)


def _blocks(plan: dict[str, Any]) -> list[Block]:
    return [Block(prompt, seed) for seed in plan["seeds"] for prompt in plan["prompts"]]


def _add_steps(analysis: Analysis, records: Sequence[CellRun]) -> None:
    steps = {record.cell: record.steps for record in records if record.outcome == "finished"}
    for cell in analysis.cells:
        cell.num_inference_steps = steps.get(cell.name)


def _forget_losses(analysis: Analysis) -> list[str]:
    """Leave out losses of metrics that are not installed here: what they lose is theirs to say."""
    known = {**installed().metrics, **installed().scores}
    gone = [name for name in analysis.losses if name not in known]
    for name in gone:
        del analysis.losses[name]
        for cell in analysis.cells:
            cell.loss.pop(name, None)
            cell.front.pop(name, None)
    return [
        f"the metric {name!r} is not installed here, so that nothing is said of what it lost"
        for name in gone
    ]


def _planned(
    records: Sequence[CellRun], cells: Sequence[Cell], blocks: Sequence[Block], rounds: int
) -> int:
    """Runs of the rounds that were begun; of cells that only ever failed, those that were tried."""
    finished = {record.cell for record in records if record.outcome == "finished"}
    hopeless = {record.cell for record in records} - finished
    tried = {(run.cell, run.block, run.repeat) for run in records if run.cell in hopeless}
    return rounds * len(blocks) * (len(cells) - len(hopeless)) + len(tried)


def _study_warnings(
    store: Store, records: Sequence[CellRun], analysis: Analysis, facts: dict[str, Any]
) -> Iterator[str]:
    for cell in analysis.cells:
        if cell.failed:
            runs = f"{cell.failed} of {cell.failed + cell.finished} runs"
            yield f"{cell.name}: {runs} failed: {'; '.join(cell.errors)}"
    for name in facts["claims_no_speed"]:
        yield (
            f"{name} claims no speed here (its kernel is emulated, say): what it costs in quality "
            f"is real, its slowdown is not what a GPU would show"
        )
    if len(kinds := _kinds_of_device(records)) > 1:
        yield (
            f"the runs were made on devices of {len(kinds)} kinds ({'; '.join(kinds)}): each is "
            f"compared on its own, and a speedup that differs among them widens the intervals"
        )
    if changing := _nondeterministic(records):
        yield (
            f"the same prompt and noise gave other frames in another round: {', '.join(changing)}"
        )
    yield from store.lacks()
    if lost := _unjudged(records):
        yield (
            f"the frames of {lost} runs were lost before they were compared with the bare one's: "
            f"their quality is missing"
        )
    yield from _of_runs(records)


def _without_videos(
    store: Store, records: Sequence[CellRun], blocks: Sequence[Block], cells: Sequence[str]
) -> Iterator[str]:
    """That videos which are to be shown are not there."""
    finished = {(run.cell, run.block) for run in records if run.outcome == "finished"}
    wanted = [(cell, block) for block in blocks for cell in cells if (cell, block) in finished]
    lost = sum(not (store.path.parent / video_path(*run)).is_file() for run in wanted)
    if lost:
        yield (
            f"{lost} of the {len(wanted)} videos to be shown are missing: they are made when a "
            f"block is run, so that one more round (`repeats`) brings them"
        )


def _unjudged(records: Sequence[CellRun]) -> int:
    """Cells in blocks that have no quality, though the bare run has."""
    finished = [record for record in records if record.outcome == "finished"]
    judged = {(record.cell, record.block) for record in finished if record.quality}
    blocks = {block for cell, block in judged if cell == BARE}
    seen = {(record.cell, record.block) for record in finished if record.block in blocks}
    return len(seen - judged)


def _kinds_of_device(records: Sequence[CellRun]) -> list[str]:
    """Names of the devices, without what tells two of one kind apart."""
    named = (record.device for record in records if record.outcome == "finished")
    return sorted({DEVICE_ID.sub("", name.rpartition(" on ")[0]) for name in named})


def _nondeterministic(records: Sequence[CellRun]) -> list[str]:
    """Cells whose frames were not the same whenever they were made."""
    frames: dict[tuple[str, Block], set[str]] = defaultdict(set)
    for record in records:
        if record.frames_sha256 is not None:
            frames[record.cell, record.block].add(record.frames_sha256)
    return list(dict.fromkeys(cell for (cell, _), found in frames.items() if len(found) > 1))


def _of_runs(records: Sequence[CellRun]) -> Iterator[str]:
    """What the runs' own reports warn of, each once for a cell."""
    finished = [record for record in records if record.outcome == "finished"]
    runs = Counter(record.cell for record in finished)
    counts = Counter((record.cell, text) for record in finished for text in record.warnings)
    cells: dict[str, list[str]] = defaultdict(list)
    for (cell, text), count in counts.items():
        cells[text].append(f"{cell} ({count} of {runs[cell]} runs)")
    for text, where in list(cells.items())[:MOST_WARNINGS]:
        yield f"{text}: in {', '.join(where)}"
    if len(cells) > MOST_WARNINGS:
        yield f"{len(cells) - MOST_WARNINGS} more warnings are in the runs' own reports"


def _showcases(
    store: Store, runs: dict[int, CellRun], blocks: Sequence[Block], cells: Sequence[str]
) -> Iterator[Showcase]:
    for block in blocks:
        numbers: dict[str, int] = {}
        for number, record in runs.items():
            if record.block == block and record.outcome == "finished":
                numbers.setdefault(record.cell, number)
        if not numbers:
            continue
        reports = {cell: store.report(number) for cell, number in numbers.items()}
        yield Showcase(
            prompt=block.prompt,
            seed=block.seed,
            timelines=[
                _timeline(cell, report)
                for cell in store.header.cells
                if (report := reports.get(cell)) is not None
            ],
            videos={
                cell: video_path(cell, block)
                for cell in cells
                if (store.path.parent / video_path(cell, block)).is_file()
            },
        )


def _timeline(cell: str, report: Report) -> Timeline:
    steps = report.steps
    return Timeline(
        cell=cell,
        denoisers=[step.denoiser for step in steps],
        reused=[_share([call.reused for call in step.calls]) for step in steps],
        seconds=[step.seconds for step in steps],
        switch_step=report.switch_step,
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0
