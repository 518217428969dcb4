"""How long: `90s`, `30m`, `2h`, `1h30m`, or seconds."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

UNITS = {"h": 3600, "m": 60, "s": 1}
NUMBER = r"\d+(?:\.\d+)?"
PATTERN = r"^\s*" + "".join(rf"(?:({NUMBER})\s*{unit}\s*)?" for unit in UNITS) + "$"
AS_JSON = r"^(?=.*[1-9])" + "".join(rf"({NUMBER}{unit})?" for unit in UNITS) + "$"
FORM = "a time is given as 90s, 30m, 2h or 1h30m, or in seconds as a number"


def seconds_of(given: Any) -> float:
    """The time in seconds.

    Raises:
        ValueError: it is no time, or none that passes.
    """
    seconds = _number(given)
    if seconds is None and isinstance(given, str):
        found = re.match(PATTERN, given.lower())
        if found is not None and any(found.groups()):
            pairs = zip(found.groups("0"), UNITS.values(), strict=True)
            seconds = sum(float(count) * unit for count, unit in pairs)
    if seconds is None or not math.isfinite(seconds):
        raise ValueError(FORM)
    if seconds <= 0:
        raise ValueError(f"a time must be above 0; {FORM}")
    return seconds


def _number(given: Any) -> float | None:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        return float(given)
    except (ValueError, OverflowError):
        return None


Seconds = Annotated[
    float,
    BeforeValidator(seconds_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": AS_JSON},
            ],
            "examples": ["90s", "30m", "1h30m"],
        }
    ),
]
"""A field of a model that holds a time."""
