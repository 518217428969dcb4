"""The cells of a study on Ray: each worker has the pipeline on a device of its own.

A block is run on one worker, cell by cell, so that what it compares shares a device. Workers write
nothing: runs come back here, one at a time, and the process that gave them out keeps them.
"""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError
from sraccel.models.shared import shared_loading
from sraccel.study.cell import Block, Cell, Wanted
from sraccel.study.plan.study import Study
from sraccel.study.runs.cell_runner import Again, CellRunner, FinishedRun, Take
from sraccel.study.runs.experiment import Experiment
from sraccel.study.runs.header import Header, header_of
from sraccel.study.runs.watcher import Watcher

if TYPE_CHECKING:
    from sraccel.cluster import Cluster
    from sraccel.report.origin import Source

START_SECONDS = 900.0
"""For workers to load and compose everything; then it is said what the cluster may lack."""
MOST_DEATHS = 2
"""A run under which so many workers died counts as failed."""


@dataclass(frozen=True)
class StudyWork:
    """What every worker needs to know.

    Attributes:
        model: of the pipeline.
        placing: arguments of `load_pipeline` that say how it is loaded.
        study: the recipe and its plan.
        sources: models and files that make the videos.
        call: arguments that all runs share.
        threads: of torch, on which the last bits of a CPU's sums depend.
    """

    model: str
    placing: Mapping[str, Any]
    study: Study
    sources: Sequence[Source]
    call: Mapping[str, Any]
    threads: int


@dataclass(frozen=True)
class Composed:
    """What a worker composed: the header of its runs, steps by cell, cells that cannot run."""

    header: Header
    steps: dict[str, int]
    refused: dict[str, str]


@dataclass(frozen=True)
class Warmed:
    """What a worker learned when it warmed up; fields as in `CellRunner`."""

    refused: dict[str, str]
    slow: list[str]
    call_seconds: dict[str, float | None]


class StudyWorker:
    """Runs cells on its device; lives in a process of its own."""

    def __init__(self, work: StudyWork) -> None:
        self._work = work
        self._sharing = shared_loading()
        self._runner: CellRunner

    def compose(self) -> Composed:
        """Load the pipeline, make the stack of each cell; errors as `run_study`."""
        import torch

        from sraccel.models.loading import load_pipeline

        torch.set_num_threads(self._work.threads)
        self._sharing.__enter__()
        pipe: Any = load_pipeline(self._work.model, **self._work.placing)
        pipe.set_progress_bar_config(disable=True)
        experiment = Experiment.of(pipe, self._work.study, self._work.call, Watcher(), ())
        assert isinstance(experiment.runner, CellRunner)
        self._runner = runner = experiment.runner
        runner.compose()
        experiment.check_something_runs()
        header = header_of(pipe, runner.cells, runner.stacks, self._work.sources, runner.call)
        return Composed(header, {one.name: runner.steps(one) for one in runner.cells}, self.refused)

    @property
    def refused(self) -> dict[str, str]:
        """As `CellRunner.refused`."""
        return dict(self._runner.refused)

    def warm_up(self, block: Block) -> Warmed:
        """As `CellRunner.warm_up`."""
        runner = self._runner
        runner.warm_up(block)
        gc.collect()
        gc.freeze()  # what is there stays, and is not gone through between runs
        seconds = {cell.name: runner.warm_call_seconds(cell) for cell in runner.cells}
        return Warmed(self.refused, runner.slow(), seconds)

    def attempt(self, wanted: Wanted) -> FinishedRun | str:
        """As `CellRunner.attempt`."""
        return self._runner.attempt(wanted)


class RayRunner:
    """A `Runner` whose runs are made by workers of a cluster.

    Attributes:
        header: what all runs share; its device names all kinds of device.
        refused: why a cell cannot run at all, by its name.

    Raises:
        ConflictError: no workers start, or they differ in what makes videos; else as `run_study`.
    """

    def __init__(self, cluster: Cluster, work: StudyWork, device: str, workers: int) -> None:
        self._ray = cluster.ray
        self._workers = [cluster.actor(StudyWorker, device, work) for _ in range(workers)]
        self._idle = list(self._workers)
        self._deaths: Counter[Wanted] = Counter()
        self._warmed: Warmed | None = None
        with ExitStack() as undo:
            undo.callback(self.close)
            composed: list[Composed] = self._all("compose")
            self.header = _common([one.header for one in composed])
            undo.pop_all()
        self._steps, self.refused = composed[0].steps, dict(composed[0].refused)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            self._ray.kill(worker)

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        """What a method says on each worker."""
        errors = self._ray.exceptions
        asked = [getattr(worker, method).remote(*arguments) for worker in self._idle]
        try:
            return list(self._ray.get(asked, timeout=START_SECONDS))
        except errors.GetTimeoutError as error:
            raise ConflictError(
                f"not all of {len(asked)} workers were ready in {START_SECONDS:.0f} seconds: "
                f"`ray status` shows what the cluster lacks; ask for fewer --workers"
            ) from error
        except errors.RayActorError as error:
            raise ConflictError(
                f"a worker died before its first run (too little memory?): {error}"
            ) from error
        except errors.RayTaskError as error:
            raise error.cause from error

    def steps(self, cell: Cell) -> int:
        """As `CellRunner.steps`."""
        return self._steps[cell.name]

    def warm_up(self, block: Block) -> None:
        """As `CellRunner.warm_up`, on every worker."""
        warmed: list[Warmed] = self._all("warm_up", block)
        self._warmed = warmed[0]
        for one in warmed:
            self.refused.update(one.refused)

    def warm_call_seconds(self, cell: Cell) -> float | None:
        """As `CellRunner.warm_call_seconds`, of the first worker."""
        return None if self._warmed is None else self._warmed.call_seconds[cell.name]

    def slow(self) -> list[str]:
        """As `CellRunner.slow`."""
        return [] if self._warmed is None else self._warmed.slow

    def make(self, blocks: Iterable[Iterator[Wanted]], take: Take, again: Again) -> None:
        """Make the runs of blocks, as many blocks at a time as there are workers.

        Args as `CellRunner.make`.

        Raises:
            ConflictError: all workers have died.
        """
        begun: deque[Iterator[Wanted]] = deque()
        waiting = iter(blocks)
        under_way: dict[Any, tuple[Any, Iterator[Wanted], Wanted]] = {}
        while self._give_out(begun, waiting, under_way):
            (ended,), _ = self._ray.wait(list(under_way), num_returns=1)
            worker, runs, wanted = under_way.pop(ended)
            try:
                run: FinishedRun | str = self._ray.get(ended)
            except self._ray.exceptions.RayActorError as error:
                begun.append(self._lost(worker, wanted, error, take, again))
                self._check_alive(under_way, error)
            else:
                self._idle.append(worker)
                take(wanted, run)
                begun.appendleft(runs)  # on the worker that is idle now: the same one

    def _give_out(
        self,
        begun: deque[Iterator[Wanted]],
        waiting: Iterator[Iterator[Wanted]],
        under_way: dict[Any, tuple[Any, Iterator[Wanted], Wanted]],
    ) -> bool:
        """Give each idle worker a run; whether anything is under way."""
        while self._idle:
            runs = begun.popleft() if begun else next(waiting, None)
            if runs is None:
                break
            wanted = next(runs, None)
            if wanted is not None:
                worker = self._idle.pop()  # the one that was at this block
                under_way[worker.attempt.remote(wanted)] = worker, runs, wanted
        return bool(under_way)

    def _lost(
        self, worker: Any, wanted: Wanted, error: Exception, take: Take, again: Again
    ) -> Iterator[Wanted]:
        """What is left of a block whose worker died."""
        self._ray.kill(worker)  # it may only be out of reach
        self._deaths[wanted] += 1
        left = again(wanted)
        if self._deaths[wanted] >= MOST_DEATHS:
            take(wanted, f"its worker died {MOST_DEATHS} times: {error}")
        return left

    def _check_alive(self, under_way: Mapping[Any, Any], error: Exception) -> None:
        if not self._idle and not under_way:
            raise ConflictError(
                f"all workers of the study have died; what was run is kept, and the same command "
                f"goes on: {error}"
            ) from error


def _common(headers: Sequence[Header]) -> Header:
    """One header for all workers.

    Raises:
        ConflictError: they differ in more than their device.
    """
    first = headers[0]
    devices = sorted({one.environment["device"] for one in headers})
    for other in headers[1:]:
        same = other.model_copy(update={"environment": first.environment})
        if lines := same.difference_lines(first):
            listed = "".join(f"\n  {line}" for line in lines)
            raise ConflictError(f"the workers of the study differ:{listed}")
    environment = {**first.environment, "device": ", ".join(devices)}
    return first.model_copy(update={"environment": environment})
