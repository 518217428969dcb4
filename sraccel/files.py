"""Writing results: whole files under their final name, or none, and one kind of error."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sraccel.errors import OutputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside `path`, which takes its name when the block succeeds.

    If the block raises, the temporary file is removed and an older file at `path` stays.

    Raises:
        OutputError: the file cannot be written; any `OSError` of the block is turned into it.
    """
    path = Path(path)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _output_error(f"cannot write {path}", path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def save_text(text: str, path: str | Path) -> Path:
    """Write a text file; halves of characters become question marks.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))
    return Path(path)


def output_folder(path: str | Path) -> Path:
    """Make a folder for results and prove that files can be written there.

    Raises:
        OutputError: the folder cannot be made, is a file, or does not take files.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _output_error(
            f"cannot write to the folder {path}", path, error, "; choose another one"
        ) from error
    return path


def _output_error(what: str, path: Path, error: OSError, advice: str = "") -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"{what}: {reason}{advice}", path=path, errno=error.errno, reason=reason)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
