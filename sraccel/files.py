"""Files: results are written whole or not at all; text from elsewhere is read within limits."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sraccel.errors import OutputError
from sraccel.text import byte_size

LARGEST_TEXT = 64 * 2**20
"""Bytes of a report or a configuration; a run of 1,000 steps makes a report of about 1 MiB."""


def read_bytes(path: str | Path, most: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file of at most so many bytes.

    A device, a pipe or a kernel log may have no end, or nothing yet: they are never waited for.

    Raises:
        OSError: there is no such file, it is none of these, or it is larger. `strerror` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, "it is a folder", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        content = file.read(most + 1) if status.st_size <= most else b""
        if max(status.st_size, len(content)) > most:
            allowed = f"it is larger than the {byte_size(most)} that such a file may have"
            raise OSError(errno.EFBIG, allowed, str(path))
    return content


def read_text(path: str | Path, most: int = LARGEST_TEXT) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        OSError: as `read_bytes`; UnicodeDecodeError: it is other text, or none.
    """
    return read_bytes(path, most).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


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
