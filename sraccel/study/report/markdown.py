"""The report of a study as GitHub-flavoured Markdown: headline, cells, pairs, shares, effects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sraccel.study.report.plain import plain
from sraccel.study.report.tables import (
    Table,
    cells,
    effects,
    headline,
    orders,
    pairs,
    shares,
)
from sraccel.study.report.words import metrics, notices, on_what, title, what_was_run

if TYPE_CHECKING:
    from sraccel.study.report_model import StudyReport

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$@])")
LINE_START = re.compile(r"^(\d*)([-+=.)])")
"""What makes a list or a heading of a line."""


def to_markdown(report: StudyReport) -> str:
    """The report as text; ends with a line end."""
    return "\n\n".join(_blocks(plain(report))) + "\n"


def _blocks(report: StudyReport) -> Iterator[str]:
    yield f"# {escape(title(report))}"
    if report.description:
        yield escape(report.description)
    yield escape(what_was_run(report))
    if device := on_what(report):
        yield escape(device)
    if told := notices(report):
        yield "> **Read this first**\n>\n" + _bullets(told, "> ")
    yield _bullets(f"{label}: {value}" for label, value in headline(report))
    for table in _tables(report):
        if table.rows:
            yield f"## {escape(table.title)}"
            if table.remark:
                yield escape(table.remark)
            yield _table(table)
    yield from _prompts(report)


def _tables(report: StudyReport) -> Iterator[Table]:
    names = metrics(report)
    yield cells(report, names)
    yield pairs(report)
    yield from shares(report, names)
    yield orders(report)
    yield from effects(report, names)


def _prompts(report: StudyReport) -> Iterator[str]:
    if report.prompts:
        yield "## Prompts"
        yield "\n".join(f"{place}. {escape(text)}" for place, text in enumerate(report.prompts, 1))
    if report.versions:
        versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
        yield "## Versions"
        yield escape(versions)


def _bullets(lines: Iterable[str], before: str = "") -> str:
    return "\n".join(f"{before}- {escape(line)}" for line in lines)


def _table(table: Table) -> str:
    rule = [" :-- " if table.is_words(heading) else " --: " for heading in table.headings]
    lines = [_line(table.headings), f"|{'|'.join(rule)}|", *map(_line, table.rows)]
    return "\n".join(lines)


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(map(inert, row))} |"


def escape(text: str) -> str:
    """Text from anywhere on a line of its own, to which it means nothing but itself."""
    return LINE_START.sub(r"\1\\\2", inert(text))


def inert(text: str) -> str:
    """Text from anywhere within a line, that means nothing to Markdown and breaks no table."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
