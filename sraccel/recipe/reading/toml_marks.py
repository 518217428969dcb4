"""Lines and columns of a TOML file's tables and keys, which `tomllib` does not tell.

Inside a value (an inline table, an array) no places are known: those of its key stand for them.
Where values go over very many lines, none are known of what follows.
"""

from __future__ import annotations

import re
import tomllib

Location = tuple[int | str, ...]
At = tuple[int, int]
MOST_LINES = 20_000
"""Lines that are read again and again to find where values end; in a second, ten times that."""
_NAME = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')"
_KEY = re.compile(rf"\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=\s*")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*\]")


def toml_marks(text: str) -> tuple[dict[Location, At], dict[Location, At]]:
    """Places of keys and of values, of a text that is valid TOML."""
    marks = _Marks()
    lines = text.split("\n")
    number, left = 0, MOST_LINES
    while left > 0 and number < len(lines):
        if header := _HEADER.match(lines[number]):
            marks.enter(_names(header[2]), header[1] == "[[", number, header.start(1))
        elif key := _KEY.match(lines[number]):
            marks.add(_names(key[1]), number, key)
            first, number = number, _last_line(lines, number, left)
            height = number - first
            left -= height * (height + 1) // 2
        number += 1
    return marks.keys, marks.values


class _Marks:
    def __init__(self) -> None:
        self.keys: dict[Location, At] = {}
        self.values: dict[Location, At] = {(): (1, 1)}
        self._table: Location = ()
        self._lengths: dict[Location, int] = {}  # of arrays of tables

    def enter(self, names: list[str], is_array: bool, line: int, column: int) -> None:
        """A header: `[name]`, or `[[name]]`, which begins one more table of an array."""
        *parents, last = names
        where = (*self._resolved(parents), last)
        self.keys.setdefault(where, (line + 1, column + 1))
        self.values.setdefault(where, (line + 1, column + 1))
        if is_array:
            index = self._lengths.get(where, 0)
            self._lengths[where] = index + 1
            where = (*where, index)
        elif where in self._lengths:
            where = (*where, self._lengths[where] - 1)
        self.values[where] = (line + 1, column + 1)
        self._table = where

    def add(self, names: list[str], line: int, key: re.Match[str]) -> None:
        """A line `key = value` of the current table."""
        for length in range(1, len(names) + 1):
            where = (*self._table, *names[:length])
            self.keys.setdefault(where, (line + 1, key.start(1) + 1))
            self.values.setdefault(where, (line + 1, key.end() + 1))

    def _resolved(self, names: list[str]) -> Location:
        """Names with the index of the last table behind each array's."""
        where: Location = ()
        for name in names:
            where = (*where, name)
            if where in self._lengths:
                where = (*where, self._lengths[where] - 1)
        return where


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]


def _last_line(lines: list[str], first: int, most: int) -> int:
    """The last line of a statement: as soon as it is valid by itself, it is whole.

    Beyond `most` lines that were read for it, the end of the file.
    """
    read = 0
    for last in range(first, len(lines)):
        read += last - first
        if read > most:
            break
        try:
            tomllib.loads("\n".join(lines[first : last + 1]))
        except tomllib.TOMLDecodeError:
            continue
        return last
    return len(lines)
