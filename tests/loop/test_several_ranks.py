"""One video on several ranks: real processes, on the CPU, decide alike or say why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
CACHES = ROOT / "plugins" / "sraccel-caches" / "src"
LIMIT = 2.0
"""The timeout of the worker's ranks, in seconds."""

Found = list[dict[str, Any]]
"""What each rank saw, by scenario."""


def torchrun(processes: int, folder: Path, *scenarios: str, kind: str = "cpu") -> Found:
    """Start the processes and wait for them."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(SUPPORT / "ranks" / "worker.py")]
    command += ["--kind", kind, str(folder), *scenarios]
    paths = [str(ROOT), str(SUPPORT), str(CACHES), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("rank*.json"))]


def check_shared(found: Found, name: str, *, overruled: bool = False) -> dict[str, Any]:
    """All ranks decided alike, as one process does; returns what the first one saw."""
    runs = [rank[name] for rank in found]
    first = runs[0]["together"]
    for run in runs:
        together = run["together"]
        for what in ("skipped", "denoisers", "sigmas", "switch", "outcome"):
            assert together[what] == first[what]
            assert overruled or together[what] == run["alone"][what]
        assert overruled or run["difference"] < 1e-4
        assert together["ranks"]["members"] == list(range(len(runs)))
    assert first["outcome"] == "finished"
    assert {True, False} == {skipped for step in first["skipped"] for skipped in step}
    assert any(run["together"]["ranks"]["overruled"] > 0 for run in runs) is overruled
    assert first["ranks"]["agreed"]["denoisers of steps"] == len(first["skipped"])
    assert f"{len(first['skipped'])} denoisers of steps" in " ".join(first["said"])
    return first


def check_switch(run: dict[str, Any], last: int) -> None:
    """The metric switched, neither at once nor at the end."""
    assert 0 < run["switch"] < last
    assert run["denoisers"][run["switch"]] == "render"


def check_wan(found: Found) -> None:
    """A sequence of Wan's, by diffusers' own hooks and attention."""
    run = check_shared(found, "wan-switch-firstblock")
    check_switch(run, 10)
    assert run["ranks"]["sequence"] == list(range(len(found)))
    assert run["ranks"]["agreed"]["means"] > 0
    planned = check_shared(found, "wan-consensus-forecast-steps")
    assert len(planned["sigmas"]) == 8
    assert planned["ranks"]["agreed"]["step plans"] == 1
    check_shared(found, "wan-local", overruled=True)


def check_cogvideox(found: Found) -> None:
    """A sequence of CogVideoX's, whose keys and values are gathered."""
    check_switch(check_shared(found, "cogvideox-switch-teacache"), 8)
    shards = check_shared(found, "cogvideox-shard-change")
    alone = found[0]["cogvideox-shard-change"]["alone"]["notes"]["shard-change"]["tokens"]
    assert shards["notes"]["shard-change"]["tokens"] * len(found) == alone


WAN = ("wan-switch-firstblock", "wan-consensus-forecast-steps", "wan-local")
COGVIDEOX = ("cogvideox-switch-teacache", "cogvideox-shard-change")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Two processes, one scenario after the other; the last one ends a process."""
    others = ("tensor", "guidance-first", "guidance-consensus")
    failing = ("one-step-behind", "other-steps", "other-shape", "fails", "leaves")
    return torchrun(2, tmp_path_factory.mktemp("pair"), *WAN, *others, *failing)


def test_two_ranks_of_one_sequence_decide_as_one_process(pair: Found) -> None:
    check_wan(pair)


def test_ranks_of_tensor_parallelism_agree_and_sum_nothing(pair: Found) -> None:
    for rank in pair:
        ranks = rank["tensor"]["ranks"]
        assert (ranks["members"], ranks["sequence"]) == ([0, 1], [])
        assert ranks["agreed"]["decisions to skip or compute"] > 0
        assert "means" not in ranks["agreed"]
        assert ranks["overruled"] == 0


@pytest.mark.parametrize("scope", ["first", "consensus"])
def test_two_ranks_of_two_guidance_branches_decide_alike(pair: Found, scope: str) -> None:
    first, second = (rank[f"guidance-{scope}"]["together"] for rank in pair)
    assert first["skipped"] == second["skipped"]
    assert first["denoisers"] == second["denoisers"]
    check_switch(first, 10)
    if scope == "first":  # in one process, the first branch decides for both
        alone = pair[0]["guidance-first"]["alone"]
        assert [step[:1] for step in alone["skipped"]] == first["skipped"]
        assert alone["switch"] == first["switch"]
        assert max(rank["guidance-first"]["difference"] for rank in pair) < 1e-4


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("one-step-behind", ["rank 1 is at [step 0 of 10, timestep 1000:", "timestep 900:"]),
        ("other-steps", ["rank 1 is at [step 0 of 9,", "rank 0 at [step 0 of 10,"]),
        ("other-shape", ["rank 1 is at [", "4 x 2 x 8 x 2:", "rank 0 at [", "4 x 2 x 6 x 2:"]),
    ],
)
def test_ranks_at_different_places_say_so_on_both(
    pair: Found, scenario: str, words: list[str]
) -> None:
    for rank in pair:
        error = rank[scenario]["error"]
        assert error.startswith("RanksError: the ranks are not at the same place: ")
        assert [part for part in words if part not in error] == []
        assert rank[scenario]["seconds"] < 2 * LIMIT


def test_a_rank_that_fails_or_leaves_is_an_error_on_the_other_within_the_limit(
    pair: Found,
) -> None:
    assert pair[1]["fails"]["error"] == "MemoryError: no more room on this card"
    assert "leaves" not in pair[1]  # its process ended
    for scenario in ("fails", "leaves"):
        run = pair[0][scenario]
        assert run["error"].startswith("RanksError: rank 1 has left when rank 0 asked [step 4")
        assert run["outcome"].startswith("failed: RanksError")
        assert run["seconds"] < 2 * LIMIT + 2


@pytest.mark.slow
def test_two_ranks_of_one_sequence_of_cogvideox_decide_as_one_process(tmp_path: Path) -> None:
    check_cogvideox(torchrun(2, tmp_path, *COGVIDEOX))


LINGERS = ("first-lingers", "second-lingers", "last-lingers")


@pytest.mark.slow
def test_three_ranks_of_one_sequence_decide_as_one_process_and_name_a_missing_one_in_time(
    tmp_path: Path,
) -> None:
    found = torchrun(3, tmp_path, *WAN, *COGVIDEOX, "wan-feedback", *LINGERS)
    check_wan(found)
    check_cogvideox(found)
    check_shared(found, "wan-feedback")
    for missing, scenario in enumerate(LINGERS):
        for rank in (run for number, run in enumerate(found) if number != missing):
            words = f"RanksError: rank {missing} did not answer in time when rank "
            assert rank[scenario]["error"].startswith(words)
            assert LIMIT < rank[scenario]["waited"] < 1.7 * LIMIT


@pytest.mark.gpu
@pytest.mark.slow
def test_two_gpus_decide_as_one_process_and_notice_a_missing_one(tmp_path: Path) -> None:
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices; NCCL takes one rank a device")
    failing = ("fails", "last-lingers")
    found = torchrun(2, tmp_path, *WAN, *COGVIDEOX, *failing, kind="cuda")
    check_wan(found)
    check_cogvideox(found)
    assert found[0]["fails"]["error"].startswith("RanksError: rank 1 has left")
    assert found[0]["last-lingers"]["waited"] < 1.7 * LIMIT
