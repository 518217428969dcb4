"""The tables of a study's SQLite file, to which rows are only added."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

SCHEMA = """
CREATE TABLE header (content TEXT NOT NULL);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE TABLE ends (
    session INTEGER NOT NULL REFERENCES sessions, ended TEXT NOT NULL, why TEXT NOT NULL
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions,
    cell TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL, repeat INTEGER NOT NULL,
    outcome TEXT NOT NULL, error TEXT,
    seconds REAL, call_seconds REAL, started TEXT NOT NULL,
    device TEXT NOT NULL, frames_sha256 TEXT, reused_calls INTEGER NOT NULL, calls INTEGER NOT NULL,
    switch_step INTEGER, steps INTEGER NOT NULL, warnings TEXT NOT NULL, report TEXT
);
CREATE UNIQUE INDEX one_finished ON runs (cell, prompt, seed, repeat, session)
    WHERE outcome = 'finished';
CREATE TABLE quality (
    run INTEGER NOT NULL REFERENCES runs, metric TEXT NOT NULL, value REAL, lack TEXT,
    UNIQUE (run, metric)
);
"""
TABLES = ("header", "sessions", "ends", "runs", "quality")
COLUMNS = (
    "session", "cell", "prompt", "seed", "repeat", "outcome", "error", "seconds", "call_seconds",
    "started", "device", "frames_sha256", "reused_calls", "calls", "switch_step", "steps",
    "warnings",
)  # fmt: skip
"""Of `runs`, but for the number and the report."""


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Names of the tables that a file has."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {str(name) for (name,) in rows}


def make_tables(connection: sqlite3.Connection) -> None:
    """Make those of a study, append-only for whoever opens the file."""
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    for table in TABLES:
        for verb in ("UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER no_{verb.lower()}_{table} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'rows of a study are only added'); END"
            )


def drop_tables(connection: sqlite3.Connection) -> None:
    """Drop those of a study."""
    for table in reversed(TABLES):  # what refers to a table goes before it
        connection.execute(f"DROP TABLE {table}")
