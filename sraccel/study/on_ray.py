"""A study whose runs are made by the workers of a Ray cluster."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.cluster import cluster
from sraccel.study.measure import measured
from sraccel.study.runs.experiment import Experiment
from sraccel.study.runs.ray_runner import RayRunner, StudyWork
from sraccel.study.runs.watcher import Watcher

if TYPE_CHECKING:
    from sraccel.study.results import StudyReport


def run_study_on_ray(
    work: StudyWork,
    out: str | Path,
    *,
    device: str,
    fps: float,
    workers: int | None = None,
    watcher: Watcher | None = None,
) -> StudyReport:
    """As `run_study`, one block at a time on each device of a cluster.

    This process keeps the runs, and no model. What it makes is equal to a study in one process but
    for the times.

    Args:
        work: what is run.
        out: as for `run_study`.
        device: `cuda` (a GPU for each worker) or `cpu`.
        fps: of the videos.
        workers: how many; by default one for each device of the cluster, or each block.
        watcher: hears how it goes.

    Raises:
        ConflictError: Ray is missing or does not start, or workers do not; else as `run_study`.
    """
    plan = work.study.study
    blocks = len(plan.prompts or ()) * len(plan.seeds)
    with cluster() as joined:
        count = min(workers or joined.devices(device), max(1, blocks))
        with closing(RayRunner(joined, work, device, max(1, count))) as runner:
            experiment = Experiment.under(runner, work.study, watcher or Watcher())
            return measured(experiment, runner.header, out, fps)
