"""What was measured, on disk: one SQLite file, to which rows are only added."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from sraccel.errors import ConflictError, OutputError
from sraccel.study.runs.header import Header
from sraccel.tuning.candidate import BARE

FILE = "tuning.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS header (content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, content TEXT NOT NULL);
"""


class TuningHeader(BaseModel):
    """What all runs of a folder share. The budget may change.

    Attributes:
        study: pipeline, models with checksums, scheduler, call, the recipe as a cell, versions,
            machine.
        goal: as it was asked for.
        memory: limit in bytes, or None.
        tuning, held_out: the prompts.
        seed: of the first prompt's noise; each further prompt has the next one.
        searched: what is searched, which depends on the plugins that are installed.
    """

    study: Header
    goal: str
    memory: int | None
    tuning: list[str]
    held_out: list[str]
    seed: int
    searched: list[str]

    def differences(self, other: Self) -> list[str]:
        """What is another, to be read: `other` is what there was."""
        lines = self.study.difference_lines(other.study)
        for name in ("goal", "memory", "tuning", "held_out", "seed", "searched"):
            now, then = getattr(self, name), getattr(other, name)
            if now != then:
                lines.append(f"{name}: {then} there, {now} now")
        return lines


class TuningRun(BaseModel):
    """One run of a candidate.

    Attributes:
        candidate: its key.
        prompt, seed: what it shows, and of which noise.
        spent: seconds that it took in all, composing, decoding and judging included.
        seconds: of the denoising loop; CPU time where the model runs on the CPU.
        bare_seconds: the same of the bare run that it is compared with, of the same prompt and
            noise on the same device.
        quality: by the goal's metric; None of a bare run.
        peak_memory: bytes; None where it was not measured.
        steps, reused, calls: steps taken, denoiser calls skipped, and all of them.
        switch_step: first step of the render model.
        error: why it did not finish.
    """

    candidate: str
    prompt: str
    seed: int
    spent: float
    seconds: float | None = None
    bare_seconds: float | None = None
    quality: float | None = None
    peak_memory: int | None = None
    steps: int = 0
    reused: int = 0
    calls: int = 0
    switch_step: int | None = None
    error: str | None = None

    @property
    def speedup(self) -> float:
        """Bare seconds over its own, of a run that finished; 1 of a bare one."""
        seconds = self.seconds or 1e-9
        return (self.bare_seconds or seconds) / seconds


def fits(runs: Iterable[TuningRun], memory: int | None) -> bool:
    """Whether no run needed more memory than a limit in bytes; None: there is no limit."""
    return memory is None or all((run.peak_memory or 0) <= memory for run in runs)


class TuningStore:
    """The runs of a folder. One process writes at a time.

    Each addition is on the disk before the method returns.

    Attributes:
        runs: all, in the order in which they were made.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self.runs: list[TuningRun] = []
        self._latest: dict[tuple[str, str], TuningRun] = {}

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, header: TuningHeader) -> Iterator[Self]:
        """The store of a folder, to add runs to.

        Raises:
            ConflictError: the folder holds another tuning; what differs is listed.
            OutputError: another process is tuning there, or the file cannot be written.
        """
        path = folder / FILE
        with usable(path):
            connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            try:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.executescript(f"BEGIN EXCLUSIVE; {TABLES} COMMIT;")
                store = cls(connection, path)
                store._begin(header)
            except BaseException:
                connection.close()
                raise
        try:
            yield store
        finally:
            connection.close()

    def _begin(self, header: TuningHeader) -> None:
        row = self._connection.execute("SELECT content FROM header").fetchone()
        rows = self._connection.execute("SELECT content FROM runs ORDER BY number").fetchall()
        try:
            for (content,) in rows:
                self._note(TuningRun.model_validate_json(content))
            before = None if row is None else TuningHeader.model_validate_json(row[0])
        except ValidationError as error:
            raise ConflictError(
                f"{self._path} is damaged: {error.error_count()} problems"
            ) from None
        differing = [] if before is None else header.differences(before)
        if differing and self.runs:
            raise ConflictError(
                f"{self._path.parent} holds another tuning; they differ in"
                + "".join(f"\n  {line}" for line in differing)
                + "\nGive the same to go on, or another output to begin anew."
            )
        if before is None or differing:
            self._connection.execute("DELETE FROM header")
            content = header.model_dump_json()
            self._connection.execute("INSERT INTO header VALUES (?)", (content,))

    def add(self, run: TuningRun) -> TuningRun:
        """Keep a run.

        Raises:
            OutputError: it cannot be written.
        """
        with usable(self._path):
            content = json.dumps(run.model_dump(mode="json"))
            self._connection.execute("INSERT INTO runs (content) VALUES (?)", (content,))
        self._note(run)
        return run

    def _note(self, run: TuningRun) -> None:
        self.runs.append(run)
        self._latest[run.candidate, run.prompt] = run

    def find(self, candidate: str, prompt: str) -> TuningRun | None:
        """The latest run of a candidate on a prompt, if there is one."""
        return self._latest.get((candidate, prompt))

    def bare_seconds(self) -> dict[str, float]:
        """Of the latest bare run of each prompt."""
        bare = (run for run in self.runs if run.candidate == BARE.key)
        return {run.prompt: run.seconds for run in bare if run.seconds is not None}

    @property
    def spent(self) -> float:
        """Seconds that all runs took."""
        return sum(run.spent for run in self.runs)


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        ConflictError: the file is none of SQLite's.
        OutputError: it cannot be used now.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        reason = str(error)
        if "not a database" in reason or "malformed" in reason:
            raise ConflictError(f"{path} is damaged, or not the file of a tuning") from None
        if "locked" in reason:
            reason = "another process is tuning there"
        raise OutputError(f"cannot use {path}: {reason}", path=path, reason=reason) from error
