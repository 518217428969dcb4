"""Candidates on Ray: each worker has the pipeline, and bare runs, on a device of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError
from sraccel.models.shared import shared_loading
from sraccel.recipe.recipe import Recipe
from sraccel.study.runs.judging import HeldFrames
from sraccel.study.runs.ray_runner import common_header
from sraccel.study.runs.workers import Workers
from sraccel.tuning.bench import Again, Begun, Take
from sraccel.tuning.candidate import Missing
from sraccel.tuning.candidate_runner import CandidateRunner
from sraccel.tuning.prepared import Prepared, call_of, prepare
from sraccel.tuning.store import TuningRun
from sraccel.tuning.wanted import Wanted

if TYPE_CHECKING:
    from sraccel.cluster import Cluster
    from sraccel.report.origin import Source


@dataclass(frozen=True)
class TuneWork:
    """What every worker needs to know.

    Attributes:
        model: of the pipeline.
        placing: arguments of `load_pipeline` that say how it is loaded.
        recipe: that is tuned.
        wanted: what is to be found.
        sources: models and files that make the videos.
        call: arguments that all runs share.
        threads: of torch, on which the last bits of a CPU's sums depend.
    """

    model: str
    placing: Mapping[str, Any]
    recipe: Recipe
    wanted: Wanted
    sources: Sequence[Source]
    call: Mapping[str, Any]
    threads: int


class TuneWorker:
    """Runs candidates on its device; lives in a process of its own."""

    def __init__(self, work: TuneWork) -> None:
        self._work = work
        self._sharing = shared_loading()
        self._runner: CandidateRunner

    def prepare(self) -> Prepared:
        """Load the pipeline and see what can be tried on it; errors as `tune`."""
        import torch

        from sraccel.models.loading import load_pipeline

        work = self._work
        torch.set_num_threads(work.threads)
        self._sharing.__enter__()
        pipe: Any = load_pipeline(work.model, **work.placing)
        pipe.set_progress_bar_config(disable=True)
        call = call_of(pipe, work.recipe, work.call)
        self._runner = CandidateRunner(pipe, call, work.wanted.goal, HeldFrames())
        return prepare(pipe, work.recipe, work.wanted, call, work.sources)

    def attempt(self, missing: Missing) -> TuningRun | None:
        """As `CandidateRunner.attempt`."""
        return self._runner.attempt(missing)


class RayRunner:
    """A `Runner` whose runs are made by workers of a cluster.

    Attributes:
        prepared: header and space; the header's device names all kinds of device.
        workers: how many there are.

    Raises:
        ConflictError: no workers start, or they differ in what makes videos or can be tried; else
            as `tune`.
    """

    def __init__(self, cluster: Cluster, work: TuneWork, device: str, workers: int) -> None:
        self._workers = Workers[Missing](cluster, TuneWorker, device, workers, work)
        self.workers = workers
        with ExitStack() as undo:
            undo.callback(self.close)
            self.prepared = _common(self._workers.all("prepare"))
            undo.pop_all()

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    def make(
        self, lines: Iterable[Iterator[Missing]], take: Take, again: Again, begun: Begun
    ) -> None:
        """As `Runner.make`, as many lines at a time as there are workers."""
        self._workers.make((_heard(line, begun) for line in lines), take, again)


def _heard(line: Iterator[Missing], begun: Begun) -> Iterator[Missing]:
    """Report each candidate that is given out; whether a bare run is needed, its worker knows."""
    for missing in line:
        if not missing.is_bare:
            begun(missing.candidate.label)
        yield missing


def _common(prepared: Sequence[Prepared]) -> Prepared:
    """What all workers agree on.

    Raises:
        ConflictError: they differ in more than their device.
    """
    first = prepared[0]
    for other in prepared[1:]:
        if other.header.searched != first.header.searched:
            here, there = (", ".join(one.header.searched) for one in (first, other))
            raise ConflictError(f"the workers differ in what can be tried:\n  {here}\n  {there}")
    study = common_header([one.header.study for one in prepared])
    return replace(first, header=first.header.model_copy(update={"study": study}))
