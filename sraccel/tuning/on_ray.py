"""A tuning whose runs are made by the workers of a Ray cluster."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sraccel.cluster import cluster
from sraccel.files import output_folder
from sraccel.tuning.outcome import Outcome
from sraccel.tuning.ray_runner import RayRunner, TuneWork
from sraccel.tuning.search import optuna
from sraccel.tuning.store import TuningStore
from sraccel.tuning.tune import Tuning
from sraccel.tuning.watcher import Watcher


def tune_on_ray(
    work: TuneWork,
    out: str | Path,
    *,
    device: str,
    workers: int | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """As `tune`, a candidate at a time on each device of a cluster; a held-out prompt likewise.

    This process draws candidates and keeps the runs, and has no model. Each worker makes bare runs
    of its own, so that a speedup is one of its device. What is found is what one process finds but
    for the times, and for what these decide.

    Args:
        work: what is tuned.
        out: as for `tune`.
        device: `cuda` (a GPU for each worker) or `cpu`.
        workers: how many; by default one for each device of the cluster.
        watcher: hears how it goes, but not of steps.

    Raises:
        ConflictError: Ray is missing or does not start, or workers do not; else as `tune`.
    """
    optuna()
    with cluster() as joined:
        count = max(1, workers or joined.devices(device))
        with closing(RayRunner(joined, work, device, count)) as runner:
            folder = output_folder(out)
            with TuningStore.opened(folder, runner.prepared.header) as store:
                heard = watcher or Watcher()
                return Tuning(
                    runner, runner.prepared, work.recipe, folder, work.wanted, store, heard
                ).run()
