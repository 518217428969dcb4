"""The complaints of the parsers of YAML, TOML and JSON, in plain words and with their place."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import yaml
from yaml.reader import ReaderError

Position = tuple[int | None, int | None]
"""Line and column, both from 1; None: not known."""
TOML_END = "(at end of document)"
TOML_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)$")
TOO_LONG = "Exceeds the limit"
"""How Python begins to say that an integer has too many digits."""

COLON, STREAM_END, CUT_OFF = "could not find expected ':'", "<stream end>", "end of stream"
WHERE_IT_BEGAN = (COLON, STREAM_END, CUT_OFF)
"""YAML's problems that PyYAML reports where it notices them; they are fixed where they began."""
YAML_WORDS = {
    COLON: "a colon is missing after this",
    STREAM_END: "this bracket is never closed",
    CUT_OFF: "this quote is never closed",
    "character '\\t'": "a tab stands where YAML takes spaces only",
    "mapping values are not allowed here": "a key cannot stand here: indent it as those beside it, "
    "see that the line above has its colon, or put text that holds `: ` into quotes",
    "found another document": "a second document begins here: a recipe is one",
    "expected <block end>": "this is indented unlike what it belongs to",
}
TOML_WORDS = {
    "Cannot overwrite a value": "this key is given twice",
    "twice": "this table is given twice",
}


def position_of(error: Exception, text: str = "") -> Position:
    """Line and column of a parser's complaint about a text, where it gives them."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := _mark(error)) is not None:
        return mark.line + 1, mark.column + 1
    if isinstance(error, json.JSONDecodeError):
        return error.lineno, error.colno
    if isinstance(error, UnicodeDecodeError):
        before = bytes(error.object[: error.start]).decode("utf-8-sig", "replace")
        return _after(before)
    if isinstance(error, ReaderError):
        return _after(text[: error.position])
    if str(error).startswith(TOO_LONG):
        found = re.search(rf"\d{{{sys.get_int_max_str_digits() + 1}}}", text)
        return _after(text[: found.start()]) if found else (None, None)
    if TOML_END in str(error):
        return _after(text)
    found = TOML_POSITION.search(str(error))
    return (int(found[1]), int(found[2])) if found else (None, None)


def _mark(error: yaml.MarkedYAMLError) -> Any:
    began = any(phrase in (error.problem or "") for phrase in WHERE_IT_BEGAN)
    return error.context_mark if began and error.context_mark else error.problem_mark


def _after(text: str) -> Position:
    return text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1


def reason_of(error: Exception) -> str:
    """A parser's complaint in one line, without the place; the commonest in plain words."""
    if isinstance(error, yaml.MarkedYAMLError):
        own = "; ".join(part for part in (error.context, error.problem) if part)
        return _worded(error.problem or "", YAML_WORDS) or own
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, UnicodeDecodeError):
        return "this is not UTF-8: save the file in that encoding"
    if isinstance(error, ReaderError):
        return f"the character {chr(int(error.character))!r} is not allowed"
    if str(error).startswith(TOO_LONG):
        return "an integer has too many digits"
    own = " ".join(TOML_POSITION.sub("", str(error)).split())
    return _worded(own, TOML_WORDS) or own


def _worded(problem: str, words: dict[str, str]) -> str | None:
    return next((plain for phrase, plain in words.items() if phrase in problem), None)
