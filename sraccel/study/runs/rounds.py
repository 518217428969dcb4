"""Rounds of blocks, in each every cell once, in random order."""

from __future__ import annotations

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sraccel.errors import LoopError
from sraccel.loop.clock import median
from sraccel.study.analysis import analyse
from sraccel.study.cell import BARE, Block, CellRun, Wanted
from sraccel.study.runs.cell_runner import FinishedRun, quiet_collector
from sraccel.study.runs.experiment import Experiment
from sraccel.study.runs.watcher import Position

if TYPE_CHECKING:
    from sraccel.study.runs.judging import Judge
    from sraccel.study.runs.store import Store

FAILURES = 3
"""A cell that failed so often in a session, and never finished, is given up."""
QUICK_RESAMPLES = 1000
"""To see whether the intervals are narrow enough; the report takes more."""


class Rounds:
    """Makes the runs of a study that are not on disk yet."""

    def __init__(self, experiment: Experiment, store: Store, judge: Judge) -> None:
        self._experiment, self._store, self._judge = experiment, store, judge
        self._records: dict[int, CellRun] = {}
        self._runs_of: dict[str, list[CellRun]] = defaultdict(list)
        self._done: dict[Wanted, CellRun] = {}
        self._begun, self._spent = False, False
        self._undo = ExitStack()
        self._deadline = math.inf
        for number, record in store.records().items():
            self._note(number, record)

    def run(self) -> str:
        """Make them; returns why it ended, as the report says it.

        Raises:
            LoopError: the bare pipeline does not finish its runs.
            OutputError: a run cannot be kept; those before it are.
        """
        with self._undo:
            for repeat in range(self._experiment.plan.repeats):
                blocks = (self._block(one, repeat) for one in self._experiment.blocks)
                self._experiment.runner.make(blocks, self._take, self._again)
                if self._spent:
                    return "budget"
                if self._precise(repeat):
                    return "precise"
        return "repeats"

    def _block(self, block: Block, repeat: int) -> Iterator[Wanted]:
        """What is missing of a block, run by run: each is on disk when the next is asked for."""
        for name in self._missing(block, repeat):
            self._begin()
            if self._hopeless(name):
                continue
            if time.monotonic() + (self._typical(name) or 0.0) > self._deadline:
                self._spent = True
            if self._spent:
                return
            wanted = Wanted(name, block, repeat)
            self._experiment.watcher.begun(self._position(wanted))
            yield wanted
        self._judge.finish(block, self._records)

    def _again(self, wanted: Wanted, _: Iterator[Wanted]) -> Iterator[Wanted]:
        """What is missing of a block whose device is lost: in a session, and beside a bare run, of
        its own."""
        self._store.start_session(self._experiment.facts())
        return self._block(wanted.block, wanted.repeat)

    def _begin(self) -> None:
        """Before the first run: warm up, and say what will be run."""
        if self._begun:
            return
        self._begun = True
        runner = self._experiment.runner
        runner.warm_up(self._experiment.blocks[0])
        self._experiment.check_something_runs()
        self._store.start_session(self._experiment.facts())
        blocks = set(self._experiment.blocks)
        for name, error in runner.refused.items():
            if error not in [run.error for run in self._runs_of[name] if run.block in blocks]:
                self._add(_failed(Wanted(name, self._experiment.blocks[0], 0), error))
        self._experiment.watcher.planned(self._experiment.forecast(list(self._records.values())))
        self._undo.enter_context(quiet_collector())
        if self._experiment.plan.budget is not None:
            self._deadline = time.monotonic() + self._experiment.plan.budget

    def _missing(self, block: Block, repeat: int) -> list[str]:
        """The cells to be run in a block, in order.

        Where an earlier session left a block half done, the bare pipeline runs again, so that
        what is still missing is not compared with the machine of another day.
        """
        order = self._experiment.order(block, repeat)
        names = [
            name
            for name in order
            if not self._is_done(Wanted(name, block, repeat)) and not self._hopeless(name)
        ]
        bare = self._done.get(Wanted(BARE, block, repeat))
        if names and bare is not None and bare.session != self._store.session:
            return [name for name in order if name in (BARE, *names)]
        return names

    def _is_done(self, wanted: Wanted) -> bool:
        """Whether a run is on disk; one that failed in an earlier session is tried again."""
        record = self._done.get(wanted)
        if record is None:
            return False
        return record.outcome == "finished" or record.session == self._store.session

    def _hopeless(self, name: str) -> bool:
        """Whether a cell cannot run, or has failed often enough to be given up."""
        if name in self._experiment.runner.refused:
            return True
        runs = self._runs_of[name]
        failed = sum(run.outcome == "failed" and run.session == self._store.session for run in runs)
        hopeless = failed >= FAILURES and all(run.outcome == "failed" for run in runs)
        if hopeless and name == BARE:
            raise LoopError(
                f"the bare pipeline failed in {FAILURES} blocks, so there is nothing to compare "
                f"with: {runs[-1].error}"
            )
        return hopeless

    def _precise(self, repeat: int) -> bool:
        """Whether the intervals are narrow enough after a round, by what was run up to it."""
        blocks = set(self._experiment.blocks)
        found = analyse(
            [run for run in self._records.values() if run.repeat <= repeat and run.block in blocks],
            self._experiment.cells,
            self._experiment.accelerators,
            design=self._experiment.plan.design,
            resamples=QUICK_RESAMPLES,
        )
        return found.precision is not None and found.precision <= self._experiment.plan.precision

    def _typical(self, name: str) -> float | None:
        """Seconds of a call of a cell."""
        taken = [run.call_seconds for run in self._runs_of[name] if run.call_seconds is not None]
        return median(taken) if taken else None

    def _position(self, now: Wanted) -> Position:
        alive = [name for name in self._experiment.names if not self._hopeless(name)]
        wanted = [
            Wanted(name, block, repeat)
            for repeat in range(now.repeat + 1)
            for block in self._experiment.blocks
            for name in alive
        ]
        left = Counter(run.cell for run in wanted if not self._is_done(run))
        seconds = [count * (self._typical(name) or math.nan) for name, count in left.items()]
        return Position(
            now.cell,
            now.block,
            now.repeat,
            done=len(wanted) - left.total(),
            planned=len(wanted),
            seconds_left=None if math.isnan(sum(seconds)) else sum(seconds),
            budget_left=self._budget_left,
        )

    @property
    def _budget_left(self) -> float | None:
        left = self._deadline - time.monotonic()
        return None if math.isinf(left) else max(0.0, left)

    def _take(self, wanted: Wanted, run: FinishedRun | str) -> None:
        """Put a run on disk, or what it failed with."""
        if isinstance(run, str):
            self._add(_failed(wanted, run))
        else:
            self._keep(run)

    def _keep(self, finished: FinishedRun) -> None:
        """Put a run on disk: its frames, if they are needed, and then what was measured."""
        record = finished.record
        if finished.frames is not None:
            self._judge.keep(record.cell, record.block, finished.frames)
        first = not any(
            run.block == record.block and run.outcome == "finished"
            for run in self._runs_of[record.cell]
        )
        self._add(record, _compact(finished.report.to_json()) if first else None)

    def _add(self, record: CellRun, report: str | None = None) -> None:
        self._note(self._store.add(record, report), record)
        self._experiment.watcher.ended(record)

    def _note(self, number: int, record: CellRun) -> None:
        self._records[number] = record
        self._runs_of[record.cell].append(record)
        wanted = Wanted(record.cell, record.block, record.repeat)
        before = self._done.get(wanted)
        if before is None or before.outcome == "failed" or record.outcome == "finished":
            self._done[wanted] = record


def _compact(text: str) -> str:
    """JSON without spaces: a report is read by programs here, and there are many."""
    return json.dumps(json.loads(text), separators=(",", ":"))


def _failed(wanted: Wanted, error: str) -> CellRun:
    cell, (prompt, seed), repeat = wanted
    return CellRun(
        cell=cell, prompt=prompt, seed=seed, repeat=repeat, outcome="failed", error=error
    )
