"""Running a study: rounds of blocks, in each every cell once, in random order."""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sraccel.clock import median
from sraccel.errors import LoopError, OutputError, RecipeError
from sraccel.files import output_folder
from sraccel.origin import Source, sources_of
from sraccel.shared_loading import shared_loading
from sraccel.study.analysis import analyse
from sraccel.study.cell import BARE, Cell
from sraccel.study.plan.design import cells_of, showcase_cells
from sraccel.study.plan.study import Study
from sraccel.study.record import Block, RunRecord
from sraccel.study.report.assemble import assemble
from sraccel.study.report.outputs import save_report
from sraccel.study.runs.bench import Bench, Outcome, check_call, quiet_collector, told
from sraccel.study.runs.forecast import Forecast, cell_forecasts
from sraccel.study.runs.header import header_of
from sraccel.study.runs.judging import Judge
from sraccel.study.runs.store import Store
from sraccel.study.runs.videos import Videos
from sraccel.study.runs.watcher import Position, Watcher

if TYPE_CHECKING:
    from sraccel.denoiser_adapter import DenoiserAdapter
    from sraccel.study.report.model import StudyReport

FAILURES = 3
"""A cell that failed so often, and never finished, is given up."""
QUICK_RESAMPLES = 1000
"""To see whether the intervals are narrow enough; the report takes more."""
FPS = 16


def run_study(
    pipe: Any,
    study: Any,
    out: str | Path,
    *,
    watcher: Watcher | None = None,
    sources: Sequence[Source] | None = None,
    fps: float = FPS,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> StudyReport:
    """Measure how the accelerators of a recipe go together, and write a report.

    Each finished run is on disk before the next begins. Calling again with the same arguments goes
    on where an earlier call was stopped; there may be other prompts, seeds and limits. Speedups
    are ratios to the bare run of the same prompt, noise and round.

    Args:
        pipe: a diffusers pipeline; it is as it was afterwards.
        study: a `Study`, or anything that `Study.load` takes; it must name prompts.
        out: folder for the runs (`study.sqlite`), the videos and the report.
        watcher: told how it goes.
        sources: models and files that make the videos; by default what the recipe names.
        fps: frames per second of the videos.
        adapters: as for `sraccel.compose`.
        call: arguments of the pipeline's call, over those of the recipe's `sampling`.

    Raises:
        RecipeError: the study is not valid, or names no prompts.
        ConflictError: the folder holds another study.
        ModelError: no adapter knows the model, or the call is not possible.
        OutputError: a run cannot be kept; those before it are.
        LoopError: the bare pipeline does not finish its runs, so that there is nothing to compare.
        KeyboardInterrupt: as it came; the report of what there is has been written.
    """
    job = Job.of(pipe, study, call, watcher or Watcher(), adapters)
    with shared_loading():
        job.bench.compose()
        given = list(sources_of([], job.study) if sources is None else sources)
        header = header_of(pipe, job.cells, job.bench.stacks, given, job.bench.call)
        folder = output_folder(out)
        with Store.begin(folder, header) as store:
            return _Runner(job, store, folder, fps).run()


def forecast_study(
    pipe: Any,
    study: Any,
    *,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Forecast:
    """What a study would run and how long that takes: a few steps of each cell, nothing written.

    Args:
        pipe, study, watcher, adapters, call: as for `run_study`.
        out: folder that may hold runs of the study already; their times are better than a
            warm-up's.

    Raises:
        as `run_study`, but for what writing raises.
    """
    job = Job.of(pipe, study, call, watcher or Watcher(), adapters)
    records: list[RunRecord] = []
    with shared_loading():
        job.bench.compose()
        job.bench.warm_up(job.blocks[0])
    if out is not None:
        with suppress(OutputError), Store.read(Path(out)) as store:
            records = list(store.records().values())
    return job.forecast(records)


class Wanted(NamedTuple):
    """A run: which cell, in which block, in which round."""

    cell: str
    block: Block
    repeat: int


@dataclass
class Job:
    """What is to be run.

    Attributes:
        study: the recipe and its plan.
        cells: all, the bare one first.
        bench: runs them.
        blocks: in order: all prompts with the first seed, then with the next one.
        watcher: is told.
    """

    study: Study
    cells: list[Cell]
    bench: Bench
    blocks: list[Block]
    watcher: Watcher

    @classmethod
    def of(
        cls,
        pipe: Any,
        source: Any,
        call: Mapping[str, Any],
        watcher: Watcher,
        adapters: Sequence[DenoiserAdapter],
    ) -> Job:
        """Everything that can be known before a model is asked; errors as `run_study`."""
        study = Study.load(source)
        plan = study.study
        if not plan.prompts:
            raise RecipeError("the study has no prompts: name a file, or list them")
        arguments = {**study.sampling.arguments(), **call}
        check_call(pipe, arguments)
        cells = cells_of(study)
        bench = Bench(pipe, cells, arguments, adapters, watcher.step)
        blocks = [Block(prompt, seed) for seed in plan.seeds for prompt in plan.prompts]
        return cls(study, cells, bench, blocks, watcher)

    def forecast(self, records: Sequence[RunRecord]) -> Forecast:
        """Cells, runs and seconds."""
        plan = self.study.study
        cells = cell_forecasts(self.bench, records)
        return Forecast(cells, len(self.blocks), plan.repeats, len(records), plan.budget)

    def order(self, block: Block, repeat: int) -> list[str]:
        """The cells in the order in which they are run: random, but the same when going on."""
        shuffled = random.Random(f"{block.prompt} {block.seed} {repeat}")
        return shuffled.sample([cell.name for cell in self.cells], len(self.cells))


@dataclass
class _Runner:
    """Makes the runs that are not on disk yet."""

    job: Job
    store: Store
    folder: Path
    fps: float
    stopped: str = ""
    records: dict[int, RunRecord] = field(default_factory=dict)
    done: set[Wanted] = field(default_factory=set)
    runs_of: dict[str, list[RunRecord]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for number, record in self.store.records().items():
            self._note(number, record)
        self.judge = Judge(self.store, self.folder, [cell.name for cell in self.job.cells])
        shown = showcase_cells(self.job.cells)
        self.videos = Videos(self.folder, shown, self.job.blocks[: self._plan.show], self.fps)

    @property
    def _plan(self) -> Any:
        return self.job.study.study

    def run(self) -> StudyReport:
        """Everything; the report is written whatever ends it, if there is anything to tell."""
        missing = self._missing()
        first = next(missing, None)
        if first is not None:  # else there is only the report to make
            self.job.bench.warm_up(self.job.blocks[0])
        self.store.start_session(self._facts())
        self._note_refused()
        try:
            if first is not None:
                self._make(itertools.chain([first], missing))
        except KeyboardInterrupt:
            with suppress(OutputError):
                self._report("interrupted")
            raise
        return self._report(self.stopped)

    def _facts(self) -> dict[str, Any]:
        """What the report tells of the study, besides its runs."""
        study, bench = self.job.study, self.job.bench
        slow = {  # known once a stack was attached
            item.name
            for stack in bench.stacks.values()
            for item in stack.accelerators
            if not item.claims_speed
        }
        slow.update(self.store.facts().get("claims_no_speed", ()))
        return {
            "name": study.name,
            "description": study.description,
            "recipe": study.model_dump(
                mode="json", fallback=lambda value: f"<{type(value).__name__}>", exclude={"study"}
            ),
            "plan": self._plan.model_dump(mode="json"),
            "accelerators": [item.use for item in study.accelerators],
            "claims_no_speed": sorted(slow),
            "showcase": showcase_cells(self.job.cells),
            "fps": self.fps,
        }

    def _note_refused(self) -> None:
        """A cell that cannot run at all has one failed run, in the first block."""
        for name, error in self.job.bench.refused.items():
            if not self.runs_of[name]:
                self._add(_failed(Wanted(name, self.job.blocks[0], 0), error))

    def _missing(self) -> Iterator[Wanted]:
        """The runs that are not on disk, one by one; says in the end why there are no more."""
        for repeat in range(self._plan.repeats):
            for block in self.job.blocks:
                for name in self.job.order(block, repeat):
                    wanted = Wanted(name, block, repeat)
                    if wanted not in self.done and not self._hopeless(name):
                        yield wanted
                self.judge.finish(block, self.records)
            if self._precise():
                self.stopped = "precise"
                return
        self.stopped = "repeats"

    def _make(self, missing: Iterator[Wanted]) -> None:
        """Make runs until there are no more, or the budget is spent."""
        self.job.watcher.planned(self.job.forecast(list(self.records.values())))
        budget = self._plan.budget
        deadline = float("inf") if budget is None else time.monotonic() + budget
        with quiet_collector():
            for wanted in missing:
                if self._hopeless(wanted.cell):  # as the warm-up showed
                    continue
                if time.monotonic() + (self._typical(wanted.cell) or 0.0) > deadline:
                    self.stopped = "budget"
                    return
                self.job.watcher.begun(self._position(wanted))
                self._run(wanted)

    def _precise(self) -> bool:
        """Whether the intervals are narrow enough after a round."""
        found = analyse(
            list(self.records.values()),
            self.job.cells,
            [item.use for item in self.job.study.accelerators],
            design=self._plan.design,
            resamples=QUICK_RESAMPLES,
        )
        return found.precision is not None and found.precision <= self._plan.precision

    def _hopeless(self, name: str) -> bool:
        """Whether a cell cannot run, or has failed often enough to be given up."""
        if name in self.job.bench.refused:
            return True
        outcomes = Counter(run.outcome for run in self.runs_of[name])
        hopeless = outcomes["failed"] >= FAILURES and not outcomes["finished"]
        if hopeless and name == BARE:
            raise LoopError(
                f"the bare pipeline failed in {FAILURES} blocks, so there is nothing to compare "
                f"with: {self.runs_of[name][-1].error}"
            )
        return hopeless

    def _typical(self, name: str) -> float | None:
        """Seconds of a call of a cell."""
        taken = [run.call_seconds for run in self.runs_of[name] if run.call_seconds is not None]
        return median(taken) if taken else None

    def _position(self, now: Wanted) -> Position:
        alive = [cell.name for cell in self.job.cells if not self._hopeless(cell.name)]
        wanted = [
            Wanted(name, block, repeat)
            for repeat in range(now.repeat + 1)
            for block in self.job.blocks
            for name in alive
        ]
        left = Counter(run.cell for run in set(wanted) - self.done)
        seconds = [count * (self._typical(name) or math.nan) for name, count in left.items()]
        return Position(
            now.cell,
            now.block,
            now.repeat,
            done=len(wanted) - left.total(),
            planned=len(wanted),
            seconds_left=None if math.isnan(sum(seconds)) else sum(seconds),
        )

    def _run(self, wanted: Wanted) -> None:
        try:
            outcome = self.job.bench.run(wanted.cell, wanted.block, wanted.repeat)
        except Exception as error:  # whosesoever: the others go on
            _free_memory()
            self._add(_failed(wanted, told(error)))
        else:
            self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        """Put a run on disk, with what its frames are worth if that can be told already."""
        record, frames, quality = outcome.record, outcome.frames, None
        cell, block = record.cell, record.block
        if frames is not None and self.judge.awaits(cell, block):
            self.videos.save(cell, block, frames)
            quality = self.judge.quality(cell, block, frames)
        if quality is None:
            self._add(record, report=self._first_report(outcome))
            return
        record.quality = quality.values
        self._add(record, quality.lacks, self._first_report(outcome))
        self.judge.take(cell, block)
        if cell == BARE:
            self.judge.catch_up(block, self.records)

    def _first_report(self, outcome: Outcome) -> str | None:
        """The run's report as JSON, if it is the cell's first one in its block."""
        record = outcome.record
        finished = [run for run in self.runs_of[record.cell] if run.outcome == "finished"]
        if any(run.block == record.block for run in finished):
            return None
        return json.dumps(json.loads(outcome.report.to_json()), separators=(",", ":"))

    def _add(
        self,
        record: RunRecord,
        lacks: Mapping[str, str] | None = None,
        report: str | None = None,
    ) -> None:
        self._note(self.store.add(record, lacks, report), record)
        self.job.watcher.ended(record)

    def _note(self, number: int, record: RunRecord) -> None:
        self.records[number] = record
        self.runs_of[record.cell].append(record)
        self.done.add(Wanted(record.cell, record.block, record.repeat))

    def _report(self, stopped: str) -> StudyReport:
        report = assemble(self.store, stopped)
        save_report(report, self.folder)
        return report


def _failed(wanted: Wanted, error: str) -> RunRecord:
    cell, (prompt, seed), repeat = wanted
    return RunRecord(
        cell=cell, prompt=prompt, seed=seed, repeat=repeat, outcome="failed", error=error
    )


def _free_memory() -> None:
    """After an error, which may have been a lack of it."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
