"""What tests of the command line share; `sraccel` itself is a fixture."""

from __future__ import annotations

from collections.abc import Callable

from typer.testing import Result

Sraccel = Callable[..., Result]


def unframed(text: str) -> str:
    """What was printed, without frames and line breaks."""
    return " ".join(text.replace("│", " ").split())
