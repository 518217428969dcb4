"""The store: what was added stays, whatever happens next."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.errors import ConflictError, OutputError
from sraccel.study.cell import CellRun
from sraccel.study.runs.header import Header
from sraccel.study.runs.store import FILE, Store

HEADER = Header(
    pipeline="WanPipeline",
    models={"transformer": {"class": "WanTransformer3DModel", "dtype": "float32", "weights": "a"}},
    scheduler={"class": "UniPCMultistepScheduler", "flow_shift": 3.0},
    sources=[],
    call={"num_inference_steps": 4},
    cells={"bare": {"name": "bare", "accelerators": []}},
    versions={"torch": "2"},
    environment={"threads": "1"},
)

RECORDS = st.builds(
    CellRun,
    cell=st.text(min_size=1, max_size=8),
    prompt=st.text(max_size=8),
    seed=st.integers(0, 2**63 - 1),
    repeat=st.integers(0, 9),
    outcome=st.just("finished"),
    error=st.none() | st.text(max_size=5),
    seconds=st.none() | st.floats(0, 1e6),
    call_seconds=st.none() | st.floats(0, 1e6),
    quality=st.dictionaries(st.text(min_size=1, max_size=5), st.floats(-1e9, 1e9), max_size=3),
    warnings=st.lists(st.text(max_size=5), max_size=2),
    switch_step=st.none() | st.integers(0, 50),
)


def run(seed: int = 0, **more: Any) -> CellRun:
    return CellRun(cell="bare", prompt="a prompt", seed=seed, seconds=1.0, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.begin(tmp_path, HEADER) as opened:
        opened.start_session({"plan": 1})
        yield opened


@settings(max_examples=30)
@given(records=st.lists(RECORDS, unique_by=lambda r: (r.cell, r.prompt, r.seed, r.repeat)))
def test_what_was_added_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, records: list[CellRun]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    with Store.begin(folder, HEADER) as store:
        store.start_session({})
        for record in records:
            store.add_quality(store.add(record, '{"a": 1}'), record.quality, {})
    with Store.begin(folder, HEADER) as store:
        read = list(store.records().values())
    assert read == [record.model_copy(update={"session": 1}) for record in records]


@pytest.mark.parametrize("table", ["header", "sessions", "ends", "runs", "quality"])
def test_nothing_can_be_changed_or_deleted(store: Store, tmp_path: Path, table: str) -> None:
    store.add_quality(store.add(run()), {"ssim": 0.5}, {})
    store.end_session("repeats")
    store.close()
    connection = sqlite3.connect(tmp_path / FILE)
    column = {"header": "content", "sessions": "facts", "ends": "why", "runs": "cell"}.get(
        table, "metric"
    )
    for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match="only added"):
            connection.execute(statement)
    connection.close()


def test_the_same_run_cannot_be_added_twice(store: Store) -> None:
    store.add(run())
    with pytest.raises(OutputError, match="UNIQUE"):
        store.add(run())
    store.add(run(seed=1))
    assert [record.seed for record in store.records().values()] == [0, 1]


def test_one_process_writes_at_a_time(store: Store, tmp_path: Path) -> None:
    for opening in (lambda: Store.begin(tmp_path, HEADER), lambda: Store.read(tmp_path)):
        with pytest.raises(OutputError, match="another process is running this study"):
            opening()
    store.add(run())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"versions": {"torch": "3"}}, "versions.torch: '2' there, '3' now"),
        (
            {"cells": {**HEADER.cells, "more": {"name": "more", "accelerators": []}}},
            "cells.more: nothing there, 'a cell' now",
        ),
    ],
)
def test_another_study_is_refused_naming_what_differs(
    store: Store, tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    store.add(run())
    store.close()
    other = HEADER.model_copy(update=change)
    with pytest.raises(ConflictError) as caught:
        Store.begin(tmp_path, other)
    assert expected in str(caught.value)
    with Store.begin(tmp_path, HEADER) as again:
        assert len(again.records()) == 1


def test_a_study_without_a_run_keeps_nobody_out(tmp_path: Path) -> None:
    with Store.begin(tmp_path, HEADER) as store:
        store.start_session({})
    other = HEADER.model_copy(update={"versions": {"torch": "3"}})
    with Store.begin(tmp_path, other) as store:
        store.start_session({})
        store.add(run())
    with Store.read(tmp_path) as store:
        assert store.header == other


def test_before_the_session_starts_nothing_is_written(tmp_path: Path) -> None:
    with Store.begin(tmp_path, HEADER) as store:
        assert store.records() == {}
        assert store.facts() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_study_of_an_older_sraccel_is_refused_naming_both_versions(tmp_path: Path) -> None:
    with Store.begin(tmp_path, HEADER.model_copy(update={"schema_version": 1})) as store:
        store.start_session({})
        store.add(run(), "the report of that version")
    for opening in (lambda: Store.begin(tmp_path, HEADER), lambda: Store.read(tmp_path)):
        with pytest.raises(ConflictError, match=r"schema_version 1, and this sraccel reads 3: use"):
            opening()


@pytest.mark.parametrize("database", [True, False])
def test_a_file_that_is_no_study_is_refused_and_left_alone(tmp_path: Path, database: bool) -> None:
    if database:
        connection = sqlite3.connect(tmp_path / FILE)
        connection.execute("CREATE TABLE precious (content)")
        connection.commit()
        connection.close()
    else:
        (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    before = (tmp_path / FILE).read_bytes()
    for opening in (lambda: Store.begin(tmp_path, HEADER), lambda: Store.read(tmp_path)):
        with pytest.raises(ConflictError, match="not the file of a study"):
            opening()
    assert (tmp_path / FILE).read_bytes() == before


def test_a_file_that_a_killed_warm_up_left_is_no_study_yet(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no study"):
        Store.read(tmp_path)
    (tmp_path / FILE).touch()
    assert Store.find(tmp_path) is None
    with pytest.raises(OutputError, match="no run was begun"):
        Store.read(tmp_path)
    with Store.begin(tmp_path, HEADER) as store:
        store.start_session({})
    assert Store.read(tmp_path).ended() == ""


def test_why_a_session_ended_is_kept(store: Store, tmp_path: Path) -> None:
    store.add(run())
    assert store.ended() == ""
    store.end_session("interrupted")
    assert store.ended() == "interrupted"
    store.start_session({})
    assert store.ended() == ""
    store.end_session("precise")
    assert store.ended() == "precise"


def test_a_full_disk_costs_the_run_under_way_and_no_other(store: Store) -> None:
    store.add(run())
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutputError, match="full"):
        fill(store)
    kept = list(store.records().values())
    assert [record.seed for record in kept] == list(range(len(kept)))
    store._connection.execute("PRAGMA max_page_count = 100000")  # somebody made room
    store.add(run(1000), report="x" * 1000)
    assert len(store.records()) == len(kept) + 1


def fill(store: Store) -> None:
    for seed in range(1, 100):
        store.add(run(seed), report="x" * 1000)


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from test_store import HEADER, run
    from sraccel.study.runs.store import Store

    with Store.begin(Path(sys.argv[1]), HEADER) as store:
        store.start_session({})
        first = len(store.records())
        for seed in range(first, 100000):
            number = store.add(run(seed), report="x" * 5000)
            print(seed, flush=True)
            store.add_quality(number, {"ssim": 1.0}, {})
    """
)


def test_kill_9_loses_no_run_that_was_added(tmp_path: Path) -> None:
    last = -1
    for pause in (0.05, 0.11, 0.17):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in writer.communicate()[0].split()]
        last = max([last + 1, *said])
        with Store.read(tmp_path) as store:
            read = store.records()
        with Store.begin(tmp_path, HEADER) as store:
            assert store.records() == read
            kept = [record.seed for record in read.values()]
            assert kept == list(range(len(kept)))
            assert len(kept) in (last + 1, last + 2)  # killed before it could say so
            assert len(read) - len(store.judged()) <= 3  # one for each time it was killed
        last = kept[-1]
