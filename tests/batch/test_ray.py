"""`sraccel generate --prompts --executor ray` on a real cluster of two nodes on this machine.

Skipped where Ray is not installed (`pip install 'sraccel[ray]'`).
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from batches import LINES, Batch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(540),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'sraccel[ray]'"
    ),
]
PROMPTS = 8
"""So many that a fast machine is not done with them before something is killed."""
ON_RAY = ("--executor", "ray", "--workers", "sketch=2,render=1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 3, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    for left in (2, 1, 0):
        try:
            cluster = Cluster(initialize_head=True, head_node_args=node)
        except Exception:  # Ray gives a node 30 seconds to start, which a busy machine may not hold
            if not left:
                raise
        else:
            break
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def joined(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


def workers_of(cluster: Any, stage: str) -> list[psutil.Process]:
    """The processes of a pool."""
    nodes = [cluster.head_node, *cluster.worker_nodes]
    return [worker for node in nodes for worker in workers_on(node, stage)]


def workers_on(node: Any, stage: str = "") -> list[psutil.Process]:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    title = f"ray::{stage}" if stage else "Stage"
    return [one for one in raylet.children(recursive=True) if title in _title(one)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it is gone by now
        return ""


def asked(batch: Batch, count: int) -> list[str]:
    batch.ask([{**LINES[0], "id": f"p{index}", "seed": index} for index in range(count)])
    return [f"p{index}" for index in range(count)]


def check_each_once(batch: Batch, names: list[str], before: dict[str, int]) -> None:
    """Each prompt is finished, with one line; what was there is as it was; nothing else is left."""
    assert sorted(entry["id"] for entry in batch.entries()) == sorted(names)
    assert set(batch.ends().values()) == {"finished"}
    after = batch.times()
    assert {*after} == {f"{name}.mp4" for name in names}
    assert {name: after[name] for name in before} == before
    assert not list(batch.out.glob(".*"))


@pytest.mark.usefixtures("joined")
def test_a_killed_worker_costs_nothing_and_the_videos_are_those_of_one_process(
    batch: Batch, cluster: Any, tmp_path: Path
) -> None:
    names = asked(batch, PROMPTS)
    lines = [{**LINES[0], "id": name, "seed": seed} for seed, name in enumerate(names)]
    batch.ask([LINES[2], *lines])
    process = batch.begin("--executor", "ray")  # the sizes follow from the first prompt
    done = {f"{name}.mp4" for name in batch.sums()}
    before = {name: at for name, at in batch.times().items() if name in done}
    workers_of(cluster, "RenderStage")[0].kill()
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert "odd failed: ValueError" in output
    assert re.search(r"workers: sketch=[12],render=[12]\n", output)
    assert batch.ends() == {**dict.fromkeys(names, "finished"), "odd": "failed"}
    assert len(batch.entries()) == PROMPTS + 1
    assert {name: batch.times()[name] for name in before} == before

    split, batch.out = batch.sums(), tmp_path / "alone"
    assert batch.run().exit_code == 1
    assert batch.sums() == split


@pytest.mark.usefixtures("joined")
def test_after_a_killed_driver_and_a_lost_node_the_same_command_goes_on(
    batch: Batch, cluster: Any
) -> None:
    names = asked(batch, PROMPTS)
    process = batch.begin(*ON_RAY)
    process.kill()
    process.communicate()
    left = [*workers_of(cluster, "SketchStage"), *workers_of(cluster, "RenderStage")]
    psutil.wait_procs(left, timeout=60)  # Ray ends what belonged to the driver
    before = batch.times()
    assert 1 <= len(before) < PROMPTS

    lost = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    process = batch.begin(*ON_RAY)
    assert workers_on(lost)
    cluster.remove_node(lost, allow_graceful=False)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    check_each_once(batch, names, before)


@pytest.mark.usefixtures("joined")
def test_few_prompts_begin_at_once_and_a_recipe_of_one_model_has_one_pool(
    batch: Batch, tmp_path: Path
) -> None:
    asked(batch, 2)
    done = batch.run("--executor", "ray")
    assert done.exit_code == 0, done.output
    assert "workers: sketch=2,render=1\n" in done.stderr  # by the forecast, for three devices
    batch.out = tmp_path / "one"
    batch.recipe.write_text("model: demo\naccelerators:\n  - {use: teacache, threshold: 0.3}\n")
    assert batch.run(*ON_RAY).exit_code == 0
    whole, batch.out = batch.sums(), tmp_path / "alone"
    assert batch.run().exit_code == 0
    assert batch.sums() == whole


@pytest.mark.usefixtures("joined")
def test_a_full_disk_ends_the_batch_and_leaves_no_half_file(batch: Batch, full_disk: Path) -> None:
    batch.out = full_disk / "out"
    failed = batch.run(*ON_RAY)
    assert failed.exit_code == 1
    assert "No space left" in failed.stderr
    assert [path.name for path in batch.out.iterdir()] == ["manifest.jsonl"]
    assert "RAY_ADDRESS" in os.environ  # as it was joined, so it was left
