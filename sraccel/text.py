"""Words for people: what may have been meant, and text from elsewhere made fit for a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

KEPT = "\n\t"
NEAR = 0.75
"""How alike two names must be, from 0 to 1, for one to have been meant by the other."""


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
