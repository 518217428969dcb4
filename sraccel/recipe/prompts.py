"""A file of prompts: one a line."""

from __future__ import annotations

from pathlib import Path

from sraccel.files import read_text
from sraccel.recipe.reading.document import is_file
from sraccel.text import did_you_mean

COMMENT = "#"
LARGEST = 2**20
"""Bytes of such a file."""


class PromptsError(ValueError):
    """Why no prompts could be read."""


def read_prompts(path: Path) -> list[str]:
    """The prompts of a text file; empty lines and lines that begin with # don't count.

    Raises:
        PromptsError: it is not there, no text, or holds none.
    """
    if not is_file(path):
        raise PromptsError(f"no file {str(path)!r}{_hint(path)}")
    try:
        lines = read_text(path, LARGEST).splitlines()
    except UnicodeDecodeError:
        raise PromptsError(f"{path} is no text in UTF-8: save it in that encoding") from None
    except OSError as error:
        raise PromptsError(f"{path} cannot be opened: {error.strerror}") from None
    texts = [line.strip() for line in lines]
    prompts = [text for text in texts if text and not text.startswith(COMMENT)]
    if not prompts:
        raise PromptsError(f"{path} holds no prompts: write one a line")
    return list(dict.fromkeys(prompts))


def _hint(path: Path) -> str:
    """A file of that folder that may have been meant; else how to give prompts themselves."""
    try:
        beside = sorted(one.name for one in path.parent.glob("*.txt"))
    except (OSError, ValueError):
        beside = []
    near = did_you_mean(path.name, beside)
    return near or " (prompts themselves are a list: `prompts: [a red circle]`)"
