"""Where something stands: in a recipe's content, and in a file."""

from __future__ import annotations

from typing import NamedTuple

Location = tuple[int | str, ...]
"""In the content: `("accelerators", 1, "threshold")`."""


class Mark(NamedTuple):
    """In a file; both count from 1."""

    line: int
    column: int
