"""The runs of a study on disk: one SQLite file, to which rows are only added."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from sraccel.errors import ConflictError, OutputError
from sraccel.report.model import Report
from sraccel.study.cell import CellRun
from sraccel.study.runs.damage import intact, unread_header, usable
from sraccel.study.runs.header import Header
from sraccel.study.runs.schema import COLUMNS, TABLES, drop_tables, make_tables, tables_of

FILE = "study.sqlite"


class Store:
    """The runs of a study. One process writes at a time, and nothing is ever changed or deleted.

    Each addition is one transaction, synced to the disk before the method returns: what kills the
    process, or fills the disk, costs no run that was added.

    Attributes:
        path: the file.
        header: what all runs share.
        session: 1 for the first process that ran the study, 2 for the second one...
    """

    header: Header

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self.session = path, 0
        self._connection = connection

    @classmethod
    def begin(cls, folder: Path, header: Header) -> Self:
        """Open the store of a folder to add runs, or make it.

        Nothing is written before the session starts; what holds no runs yet is made anew.

        Args:
            folder: of the study.
            header: what its runs share.

        Raises:
            ConflictError: the folder holds another study; what differs is listed.
            OutputError: another process runs the study, or the file cannot be written.
        """
        path = folder / FILE
        with usable(path):
            connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            # No statement of another process comes in between until this one ends.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE deletes, too
            store = cls(path, connection)
            try:
                store._begin(header)
            except BaseException:
                store.close()
                raise
        return store

    def _begin(self, header: Header) -> None:
        # The lock that this takes stays until the connection is closed.
        with self._transaction("EXCLUSIVE"):
            self.header = header
            if not tables_of(self._connection):
                return
            self.check(header)
            if not self._has_runs():
                drop_tables(self._connection)

    def check(self, header: Header) -> None:
        """Refuse a header other than the file's, unless there is no run to lose.

        Raises:
            ConflictError: with all that differs.
        """
        lines = header.difference_lines(self._header())
        if lines and self._has_runs():
            listed = "".join(f"\n  {line}" for line in lines)
            raise ConflictError(
                f"{self.path.parent} holds runs of another study; they differ in{listed}\n"
                "Give the same study to go on, another output to begin anew beside it, or "
                "remove that folder."
            )

    def _has_runs(self) -> bool:
        return self._connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None

    def start_session(self, facts: Mapping[str, Any]) -> None:
        """Note that a process begins to add runs.

        Args:
            facts: what it is to do, as JSON holds it.

        Raises:
            OutputError: it cannot be written.
        """
        with usable(self.path), self._transaction():
            if not tables_of(self._connection):
                make_tables(self._connection)
                self._connection.execute(
                    "INSERT INTO header VALUES (?)", (self.header.model_dump_json(),)
                )
            cursor = self._connection.execute(
                "INSERT INTO sessions (started, facts) VALUES (?, ?)", (_now(), json.dumps(facts))
            )
            self.session = int(cursor.lastrowid or 0)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the store of a folder to look at it.

        Raises:
            OutputError: there is none, or a process is writing to it.
            ConflictError: the file is not a study's.
        """
        store = cls.find(folder)
        if store is None:
            path = folder / FILE
            raise OutputError(f"{folder} holds no study: no run was begun there", path=path)
        return store

    @classmethod
    def find(cls, folder: Path) -> Self | None:
        """As `read`; None where there is no study, or one that never came to its first run."""
        path = folder / FILE
        if not path.is_file():
            return None
        with usable(path), ExitStack() as undo:
            # Not `ro`: what a killed process left half done has to be rolled back first.
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=1)
            undo.callback(connection.close)
            store = cls(path, connection)
            if not tables_of(connection):
                return None
            store.header = store._header()
            undo.pop_all()
        return store

    def _header(self) -> Header:
        if not tables_of(self._connection) >= set(TABLES):
            raise ConflictError(f"{self.path} is not the file of a study: choose another output")
        with intact(self.path):
            ((content,),) = self._connection.execute("SELECT content FROM header")
        try:
            return Header.model_validate_json(content)
        except ValidationError as error:
            raise ConflictError(
                f"{self.path} {unread_header(error)}: use the sraccel that wrote it, or choose "
                "another output"
            ) from None

    def end_session(self, why: str) -> None:
        """Note why this process adds no more runs; errors as `start_session`."""
        with usable(self.path), self._transaction():
            self._connection.execute(
                "INSERT INTO ends VALUES (?, ?, ?)", (self.session, _now(), why)
            )

    def ended(self) -> str:
        """Why the last session ended; empty if it was killed."""
        rows = self._rows(
            "SELECT why FROM sessions LEFT JOIN ends ON session = id "
            "ORDER BY id DESC, ends.rowid DESC LIMIT 1"
        )
        return next((why for (why,) in rows if why is not None), "")

    def facts(self) -> dict[str, Any]:
        """What the last session was to do; empty if there was none."""
        rows = self._rows("SELECT facts FROM sessions ORDER BY id DESC LIMIT 1")
        found: list[dict[str, Any]] = [json.loads(content) for (content,) in rows]
        return found[0] if found else {}

    def add(self, record: CellRun, report: str | None = None) -> int:
        """Keep a run; it is on disk when this returns.

        Args:
            record: the run; its session is filled in, its quality is `add_quality`'s.
            report: the run's report, as JSON.

        Returns:
            the run's number.

        Raises:
            OutputError: it cannot be written; the store is as it was.
        """
        record.session = self.session
        content = record.model_dump(mode="json")
        content["warnings"] = json.dumps(record.warnings)
        row = [*(content[name] for name in COLUMNS), report]
        with usable(self.path), self._transaction():
            cursor = self._connection.execute(
                f"INSERT INTO runs ({', '.join(COLUMNS)}, report) "
                f"VALUES ({', '.join('?' * len(row))})",
                row,
            )
        return int(cursor.lastrowid or 0)

    def add_quality(
        self, number: int, values: Mapping[str, float], lacks: Mapping[str, str]
    ) -> None:
        """Keep the quality of a run that was added before; errors as `add`.

        Args:
            number: of the run.
            values: by metric.
            lacks: why a metric has no value, by its name.
        """
        rows: list[tuple[object, ...]] = [(number, *item, None) for item in values.items()]
        rows += [(number, name, None, why) for name, why in lacks.items()]
        with usable(self.path), self._transaction():
            self._connection.executemany("INSERT INTO quality VALUES (?, ?, ?, ?)", rows)

    def records(self) -> dict[int, CellRun]:
        """All runs by number, in the order in which they were made."""
        rows = self._rows(f"SELECT id, {', '.join(COLUMNS)} FROM runs ORDER BY id")
        found = {number: dict(zip(COLUMNS, row, strict=True)) for number, *row in rows}
        for number, metric, value in self._rows(
            "SELECT run, metric, value FROM quality WHERE value IS NOT NULL"
        ):
            with intact(self.path):
                found[number].setdefault("quality", {})[metric] = value
        with intact(self.path):
            return {
                number: CellRun.model_validate({**row, "warnings": json.loads(row["warnings"])})
                for number, row in found.items()
            }

    def report(self, number: int) -> Report | None:
        """The report of a run, if it was kept."""
        rows = self._rows("SELECT report FROM runs WHERE id = ?", number)
        found = [content for (content,) in rows if content is not None]
        with intact(self.path):
            return Report.from_json(found[0]) if found else None

    def judged(self) -> set[int]:
        """Numbers of the runs whose quality was measured, or cannot be."""
        return {number for (number,) in self._rows("SELECT run FROM quality")}

    def lacks(self) -> list[str]:
        """Why values of quality are missing, each reason once."""
        rows = self._rows("SELECT lack FROM quality WHERE lack IS NOT NULL")
        return list(dict.fromkeys(lack for (lack,) in rows))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds; nothing before the first session."""
        with usable(self.path):
            known = tables_of(self._connection)
            return self._connection.execute(query, values).fetchall() if known else []

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled it back already
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let other processes have the file; one without a session is removed."""
        empty = False
        with suppress(sqlite3.Error):  # closed already, or not a database
            empty = not tables_of(self._connection)
        self._connection.close()
        if empty:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
