"""The table is made in parts: by shards, after interrupts, and never of different runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from sraccel.errors import OutputError

Load = Callable[[str], ModuleType]
TINY = ["--prompts", "3", "--batch", "2", "--steps", "3", "--fewer", "2", "--choosing", "1"]
TINY += ["--placed-switches", "1"]


def journal(work: Path, name: str = "0-of-1") -> Path:
    return work / f"prompts-{name}.jsonl"


def prompts(path: Path) -> list[int]:
    return [json.loads(line)["prompt"] for line in path.read_text().splitlines()[1:]]


def test_a_table_goes_on_where_it_was_interrupted(load: Load, tmp_path: Path) -> None:
    """The last line is half-written; another start makes that prompt again, and it alone."""
    main = load("table").main
    main([*TINY, "--work", str(tmp_path)])
    whole = journal(tmp_path).read_text()
    assert prompts(journal(tmp_path)) == [0, 1, 2]
    journal(tmp_path).write_text(whole[:-200])
    main([*TINY, "--work", str(tmp_path)])
    assert prompts(journal(tmp_path)) == [0, 1, 2]
    again, before = (
        json.loads(text.splitlines()[-1]) for text in (journal(tmp_path).read_text(), whole)
    )
    assert again["runs"] == before["runs"]
    assert again["features"] == before["features"]
    line = before["runs"]
    assert line["full"]["steps"] == [0, 1, 2, 3]
    assert line["full"]["psnr_bare"][-1] == 100
    assert line["placed-2"]["steps"] == [1, 2]
    assert line["uniform-2"]["steps"] == [2]


def test_shards_share_the_work_and_other_settings_are_refused(load: Load, tmp_path: Path) -> None:
    main = load("table").main
    main([*TINY, "--work", str(tmp_path), "--shard", "0/2"])
    main([*TINY, "--work", str(tmp_path), "--shard", "1/2"])
    assert prompts(journal(tmp_path, "0-of-2")) == [0, 1]
    assert prompts(journal(tmp_path, "1-of-2")) == [2]
    main([*TINY, "--work", str(tmp_path)])
    assert prompts(journal(tmp_path)) == [], "another sharding goes on, too"
    with pytest.raises(OutputError, match="guidance_scale"):
        main([*TINY, "--work", str(tmp_path), "--guidance-scale", "3"])
    assert load("tables").read_table(tmp_path).prompts.tolist() == [0, 1, 2]


def test_late_switches_are_thinned(load: Load) -> None:
    assert load("table").switch_steps(12, every=3, after=4) == [0, 1, 2, 3, 4, 7, 10]
    assert load("table").switch_steps(4, every=1, after=20) == [0, 1, 2, 3]
