"""Text of strangers, made fit for a terminal."""

from __future__ import annotations

KEPT = "\n\t"


def printable(text: str, kept: str = KEPT) -> str:
    """The text with escapes (`\\x1b`) for what would not be seen, or would steer a terminal."""
    return "".join(char if char.isprintable() or char in kept else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
