"""The cells of a study on Ray: each worker has the pipeline on a device of its own.

A block is run on one worker, cell by cell, so that what it compares shares a device.
"""

from __future__ import annotations

import gc
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
from sraccel.study.runs.workers import Workers

if TYPE_CHECKING:
    from sraccel.cluster import Cluster
    from sraccel.report.origin import Source


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
        self._workers = Workers[Wanted](cluster, StudyWorker, device, workers, work)
        self._warmed: Warmed | None = None
        with ExitStack() as undo:
            undo.callback(self.close)
            composed: list[Composed] = self._workers.all("compose")
            self.header = common_header([one.header for one in composed])
            undo.pop_all()
        self._steps, self.refused = composed[0].steps, dict(composed[0].refused)

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    def steps(self, cell: Cell) -> int:
        """As `CellRunner.steps`."""
        return self._steps[cell.name]

    def warm_up(self, block: Block) -> None:
        """As `CellRunner.warm_up`, on every worker."""
        warmed: list[Warmed] = self._workers.all("warm_up", block)
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
        """As `Workers.make`: a block is a line."""
        self._workers.make(blocks, take, again)


def common_header(headers: Sequence[Header]) -> Header:
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
            raise ConflictError(f"the workers differ:{listed}")
    environment = {**first.environment, "device": ", ".join(devices)}
    return first.model_copy(update={"environment": environment})
