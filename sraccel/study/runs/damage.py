"""What is wrong with the file of a study, as errors that say so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from sraccel.errors import ConflictError, OutputError
from sraccel.study.runs.header import Header


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        ConflictError: the file is damaged, or not a study's.
        OutputError: it cannot be used now.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        reason = str(error)
        if "locked" in reason:
            reason = "another process is running this study"
        elif "not a database" in reason or "malformed" in reason:
            raise ConflictError(
                f"{path} is damaged, or not the file of a study: {reason}"
            ) from None
        raise OutputError(f"cannot use {path}: {reason}", path=path, reason=reason) from error


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Turn what a row raises that cannot be read into our error.

    Raises:
        ConflictError: saying what was raised.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, RecursionError) as error:  # pydantic's is the first
        reason = " ".join(str(error).split())[:200]
        raise ConflictError(f"{path} is damaged, or not the file of a study: {reason}") from None


def unread_header(error: ValidationError) -> str:
    """What is wrong with a header, as the rest of a sentence."""
    known = Header.model_fields["schema_version"].default
    for problem in error.errors():
        if problem["loc"] == ("schema_version",):
            return f"has schema_version {problem['input']}, and this sraccel reads {known}"
    return f"is damaged ({error.error_count()} problems in its header)"
