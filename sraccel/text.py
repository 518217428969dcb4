"""Words for people: what may have been meant, and text from elsewhere made fit for a terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KEPT = "\n\t"
NEAR = 0.75
"""How alike two names must be, from 0 to 1, for one to have been meant by the other."""


COMPLAINTS = {
    "^Value error, ": "",
    "^Field required": "is missing",
    "^Extra inputs are not permitted": "is not known here",
    " after validation": "",
    "^(Input|List|Dictionary|Tuple|String|Data|Value) should ": "must ",
    "must be a valid integer(, .*)?$": "must be a whole number",
    "must be a valid boolean(, .*)?$": "must be true or false",
    "must be a valid number(, .*)?$": "must be a number",
    "must be a valid string(, .*)?$": "must be a text",
    "must be (a valid dictionary( or instance of .*)?|an object|a valid mapping)$": (
        "must be a mapping"
    ),
    "must be a valid (list|tuple)$": "must be a list",
    "must be None$": "must be null",
    "must be greater than or equal to (.*)": r"must be \1 or more",
    "must be less than or equal to (.*)": r"must be \1 or less",
}
"""What pydantic says of a value, and what people say."""


def plain_complaint(message: str) -> str:
    """What is wrong with a value, of pydantic's words in plain ones: `must be a list`."""
    for theirs, ours in COMPLAINTS.items():
        message = re.sub(theirs, ours, message)
    return message


def first_complaint(errors: Sequence[Mapping[str, Any]]) -> str:
    """Where the first of pydantic's errors is, and what is wrong there: `steps: must be a list`."""
    first = errors[0]
    where = ".".join(map(str, first["loc"]))
    said = plain_complaint(first["msg"])
    return f"{where}: {said}" if where else said


def nearest(given: object, known: Iterable[str]) -> str | None:
    """The known name that looks most like what was given, if one does; case does not matter.

    Of what is known already, nothing is near: the same again would be no hint.
    """
    names = list(known)
    if str(given) in names:
        return None
    by_lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(str(given).lower(), by_lower, n=1, cutoff=NEAR)
    return by_lower[found[0]] if found else None


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """`; did you mean 'teacache'?`, or nothing."""
    found = nearest(given, known)
    return f"; did you mean {found!r}?" if found is not None else ""


def shortened(text: str, longest: int = 60) -> str:
    """The text, cut where it has more characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def byte_size(count: float) -> str:
    """A number of bytes in the unit that fits, with three digits: `831 MiB`, `26.6 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    grouped = 999.5 <= count < 1e9  # an exponent for what nobody has
    return f"{count:,.0f} {unit}" if grouped else f"{count:.3g} {unit}"


def printable(text: str, kept: str = KEPT) -> str:
    """The text with escapes (`\\x1b`) for what would not be seen, or would steer a terminal."""
    return "".join(char if char.isprintable() or char in kept else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
