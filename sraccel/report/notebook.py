"""How a report looks in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.notebook import Row, box, notice, options, table
from sraccel.report.page.figures import figures, notices, title

if TYPE_CHECKING:
    from sraccel.report.model import AcceleratorRecord, Report


def report_html(report: Report) -> str:
    """A report: what to know first, then the figures, then what each accelerator did."""
    numbers = [(item.label, item.value, item.detail) for item in figures(report)]
    numbers.append(("Switch", _switch(report), report.switch_rule or ""))
    records = [_record(item) for item in report.accelerators]
    return box(
        f"{title(report)}: {report.outcome}",
        "".join(notice(text) for text in notices(report))
        + table((), numbers)
        + table(("accelerator", "factor", "chose", "skipped", "options"), records),
    )


def _switch(report: Report) -> str:
    return "none" if report.switch_step is None else f"at step {report.switch_step}"


def _record(record: AcceleratorRecord) -> Row:
    factor = record.factor if record.factor is not None else record.overhead
    kind = " (overhead)" if record.factor is None and factor is not None else ""
    shown = "" if factor is None else f"{factor:.2f}x{kind}"
    calls = (f"{record.chosen_calls} calls", f"{record.reused_calls} calls")
    return (record.name, shown, *calls, options(record.options))
