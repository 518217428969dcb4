"""A tuning on Ray finds what one in one process finds, but for the times.

Skipped where Ray is not installed (`pip install 'sraccel[ray]'`).
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_tuning import RECIPE, SMALL, WANTED, Runs

from sraccel.errors import ConflictError
from sraccel.recipe.recipe import Recipe
from sraccel.report.origin import sources_of
from sraccel.testing import load_demo_pipeline
from sraccel.tuning.candidate import BARE
from sraccel.tuning.on_ray import tune_on_ray
from sraccel.tuning.outcome import Measured, Outcome
from sraccel.tuning.prepared import call_of, prepare
from sraccel.tuning.ray_runner import TuneWork
from sraccel.tuning.store import TuningRun, TuningStore
from sraccel.tuning.tune import tune

pytest.importorskip("optuna", reason="takes the extra tune")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(540),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'sraccel[ray]'"
    ),
]
LOADED = Recipe.load(RECIPE)
FOUR = replace(WANTED, trials=4)
PLACING = {"dtype": "float32", "device": "cpu", "offload": "none"}


@pytest.fixture(scope="module", autouse=True)
def _joined() -> Iterator[None]:
    import ray

    given: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    ray.init(address="local", num_cpus=2, object_store_memory=100 * 2**20, **given)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def pipe() -> Any:
    """The demo pair's pipeline, in this process."""
    pipe: Any = load_demo_pipeline("transformer")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def work() -> TuneWork:
    import torch

    sources, threads = sources_of([], LOADED), torch.get_num_threads()
    return TuneWork("demo", PLACING, LOADED, FOUR, sources, SMALL, threads)


def on_ray(out: Path, watcher: Runs | None = None, workers: int = 2) -> Outcome:
    return tune_on_ray(work(), out, device="cpu", workers=workers, watcher=watcher)


class Killing(Runs):
    """Kills a worker with `kill -9` when so many runs have begun."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._kill_at = after

    def run(self, label: str, spent: float) -> None:
        super().run(label, spent)
        if len(self.labels) == self._kill_at:
            workers().pop().kill()


def workers() -> list[psutil.Process]:
    everything = psutil.Process().children(recursive=True)
    return [one for one in everything if "ray::TuneWorker" in " ".join(one.cmdline())]


def runs(pipe: Any, folder: Path) -> list[TuningRun]:
    call = call_of(pipe, LOADED, SMALL)
    header = prepare(pipe, LOADED, FOUR, call, sources_of([], LOADED)).header
    with TuningStore.opened(folder, header) as store:
        return store.runs


def quality(found: list[TuningRun]) -> dict[tuple[str, str], float | None]:
    return {(run.candidate, run.prompt): run.quality for run in found}


def shipped(outcome: Outcome) -> Measured:
    return next(one for one in outcome.points if one.kind == "shipped")


def test_it_finds_what_one_process_finds_even_if_a_worker_is_killed(
    pipe: Any, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    alone = tune(pipe, RECIPE, here, FOUR, **SMALL)
    outcome = on_ray(there, Killing(after=4))
    assert outcome.complete
    assert outcome.searched == alone.searched
    assert {one.label for one in outcome.tried} == {one.label for one in alone.tried}
    assert shipped(outcome).quality == shipped(alone).quality
    ours, theirs = quality(runs(pipe, here)), quality(made := runs(pipe, there))
    both = ours.keys() & theirs.keys()
    assert {key: ours[key] for key in both} == {key: theirs[key] for key in both}
    assert len(both) > len(alone.tried) * 2

    accelerated = [run for run in made if run.candidate != BARE.key]
    assert max(Counter((run.candidate, run.prompt) for run in accelerated).values()) == 1
    bare = {run.seconds for run in made if run.candidate == BARE.key}
    assert {run.bare_seconds for run in accelerated if run.error is None} <= bare
    assert len(bare) > len({run.prompt for run in made}), "each worker has bare runs of its own"
    psutil.wait_procs(workers(), timeout=60)
    assert not workers()  # though Ray itself goes on

    again = Runs()
    assert on_ray(there, again).points == outcome.points
    assert again.labels == [], "all was measured"


def test_when_all_workers_are_killed_the_same_command_goes_on(pipe: Any, tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="the same command goes on"):
        on_ray(tmp_path, Killing(after=5), workers=1)
    kept = runs(pipe, tmp_path)
    assert len(kept) > 4
    assert on_ray(tmp_path, workers=1).complete
    found = runs(pipe, tmp_path)
    assert found[: len(kept)] == kept
    accelerated = [(run.candidate, run.prompt) for run in found if run.candidate != BARE.key]
    assert len(set(accelerated)) == len(accelerated), "nothing is made twice"
