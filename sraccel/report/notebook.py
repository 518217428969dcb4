"""How a report looks in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.notebook import Row, box, notice, options, table
from sraccel.report.contributions import contribution
from sraccel.report.headline import figures, notices, switch_facts, title
from sraccel.report.words import upper_first, with_remark

if TYPE_CHECKING:
    from sraccel.report.model import AcceleratorRecord, Report


def report_html(report: Report) -> str:
    """A report: what to know first, then the figures, then what each accelerator did."""
    numbers: list[Row] = [(item.label, item.value, item.detail) for item in figures(report)]
    numbers += [(upper_first(name), value, "") for name, value in switch_facts(report)]
    records = [_record(item) for item in report.accelerators]
    return box(
        f"{title(report)}: {report.outcome}",
        "".join(notice(text) for text in notices(report))
        + table((), numbers)
        + table(("accelerator", "factor", "what it did", "options"), records),
    )


def _record(record: AcceleratorRecord) -> Row:
    part = contribution(record)
    return (part.name, with_remark(part.value, part.remark), part.did, options(record.options))
