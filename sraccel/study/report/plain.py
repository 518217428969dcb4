"""A report without characters that do something to where they are shown."""

from __future__ import annotations

import re
from typing import Any

from sraccel.study.report_model import StudyReport

ACTING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (a terminal obeys some), what turns the direction of all that follows, and halves of
characters; line ends and tabs are none of them."""
INSTEAD = "\N{REPLACEMENT CHARACTER}"


def plain(report: StudyReport) -> StudyReport:
    """The same report if it has none of them; a copy with others in their place if it has."""
    content = report.model_dump()
    if not _acts(content):
        return report
    return StudyReport.model_validate(_plain(content))


def _acts(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_acts(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return any(map(_acts, value))
    return isinstance(value, str) and ACTING.search(value) is not None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return ACTING.sub(INSTEAD, value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value
