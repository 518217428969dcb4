"""A report without characters that do something to where they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sraccel.report import words

if TYPE_CHECKING:
    from sraccel.study.results import StudyReport


def harmless(report: StudyReport) -> StudyReport:
    """A copy, with others in their place."""
    return type(report).model_validate(_harmless(report.model_dump()))


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return words.harmless(value)
    if isinstance(value, (list, tuple)):
        return [_harmless(item) for item in value]
    if isinstance(value, dict):
        return {_harmless(key): _harmless(item) for key, item in value.items()}
    return value
