"""A report without characters that do something to where they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.report import words

if TYPE_CHECKING:
    from sraccel.study.results import StudyReport


def harmless(report: StudyReport) -> StudyReport:
    """A copy, with others in their place."""
    return type(report).model_validate(words.each_text(report.model_dump(), words.harmless))
