"""How large a recipe's content may be: beyond, reading it would take long, or never end."""

from __future__ import annotations

import re
from typing import Any

MOST_VALUES = 20_000
"""Values in one file; aliases can make a short one as large as one likes."""
DEEPEST = 50
"""Levels of mappings and lists in one another."""

_PART = r"""(?:[\w-]{1,64}|"[^"\n]{0,64}"|'[^'\n]{0,64}')[ \t]{0,8}\.[ \t]{0,8}"""
_DOTTED = re.compile(f"(?:{_PART}){{{DEEPEST}}}")


class ExtentError(ValueError):
    """What there is too much of."""


def check_extent(content: Any) -> None:
    """Refuse content of too many values, or nested too deeply.

    Raises:
        ExtentError: naming the limit.
    """
    count = 0
    level = [content]
    for _ in range(DEEPEST + 1):
        level = [item for value in level for item in _inside(value)]
        count += len(level)
        if count > MOST_VALUES:
            raise ExtentError(f"this holds more than {MOST_VALUES:,} values")
        if not level:
            return
    raise ExtentError(f"nested too deeply: more than {DEEPEST} levels")


def check_dots(text: str) -> None:
    """Refuse a TOML key of too many parts, before the parser makes a table of each.

    Raises:
        ExtentError: naming the limit.
    """
    if _DOTTED.search(text):
        raise ExtentError(f"nested too deeply: a key of more than {DEEPEST} parts")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else []
