"""A study on Ray is the study of one process, but for the times.

Skipped where Ray is not installed (`pip install 'sraccel[ray]'`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_study import CALL, PROMPTS, Heard, small_study, untimed

from sraccel.errors import ConflictError
from sraccel.report.origin import sources_of
from sraccel.study.cell import CellRun
from sraccel.study.measure import run_study
from sraccel.study.on_ray import run_study_on_ray
from sraccel.study.runs.ray_runner import StudyWork
from sraccel.study.runs.store import Store
from sraccel.testing import load_demo_pipeline

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(540),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'sraccel[ray]'"
    ),
]
STUDY = small_study(prompts=[*PROMPTS, "a green circle moving down"])
PLACING = {"dtype": "float32", "device": "cpu", "offload": "none"}


@pytest.fixture(scope="module", autouse=True)
def _joined() -> Iterator[None]:
    import ray

    given: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    ray.init(address="local", num_cpus=2, object_store_memory=100 * 2**20, **given)
    yield
    ray.shutdown()


def work() -> StudyWork:
    import torch

    return StudyWork("demo", PLACING, STUDY, sources_of([], STUDY), CALL, torch.get_num_threads())


def records(folder: Path) -> list[CellRun]:
    with Store.read(folder) as store:
        return list(store.records().values())


def made_when(folder: Path) -> list[tuple[str, str, str | None]]:
    return [(run.cell, run.started, run.frames_sha256) for run in records(folder)]


class Killing(Heard):
    """Kills a worker with `kill -9` when so many runs have begun."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def begun(self, position: Any) -> None:
        super().begun(position)
        if len(self.positions) == self._after:
            workers().pop().kill()


def workers() -> list[psutil.Process]:
    everything = psutil.process_iter(["cmdline", "username"])
    mine = [one for one in everything if "ray::StudyWorker" in " ".join(one.info["cmdline"] or [])]
    ray_of_here = {parent.pid for parent in psutil.Process().children(recursive=True)}
    return [one for one in mine if one.pid in ray_of_here]


def test_it_equals_a_study_in_one_process_even_if_a_worker_is_killed(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    pipe: Any = load_demo_pipeline("transformer")
    pipe.set_progress_bar_config(disable=True)
    run_study(pipe, STUDY, here, sources=sources_of([], STUDY), **CALL)
    killing = Killing(after=4)
    given = {"device": "cpu", "fps": 8, "workers": 2}
    report = run_study_on_ray(work(), there, watcher=killing, **given)
    assert report.stopped == "repeats"
    assert untimed(records(there)) == untimed(records(here))
    assert sum(report.devices.values()) >= 12
    psutil.wait_procs(workers(), timeout=60)
    assert not workers()  # though Ray itself goes on
    assert {run.session for run in records(there)} == {1, 2}  # the second: the block that was hit

    before = len(records(there))
    again = run_study_on_ray(work(), there, **given)
    assert len(records(there)) == before  # nothing is made twice
    assert again.analysis == report.analysis


def test_when_all_workers_are_killed_the_same_command_goes_on(tmp_path: Path) -> None:
    given = {"device": "cpu", "fps": 8, "workers": 1}
    with pytest.raises(ConflictError, match="the same command goes on"):
        run_study_on_ray(work(), tmp_path, watcher=Killing(after=3), **given)
    kept = made_when(tmp_path)
    assert len(kept) == 2
    report = run_study_on_ray(work(), tmp_path, **given)
    assert (report.done, report.planned) == (12, 12)
    assert made_when(tmp_path)[:2] == kept  # their quality came with the bare run
