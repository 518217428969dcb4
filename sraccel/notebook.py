"""How recipes, stacks and reports look in a notebook: small pieces of HTML without a script.

Text takes the notebook's own colour, and lines are half transparent, so that both read in light and
in dark. Whatever is said in them is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sraccel.recipe import Recipe
    from sraccel.report.model import AcceleratorRecord, Report
    from sraccel.stack import Stack

LINE = "1px solid rgba(128,128,128,.4)"
CELL = f"padding:.25em .9em .25em 0;text-align:left;vertical-align:top;border-top:{LINE}"
NOTICE = "margin:.5em 0;padding:.1em 0 .1em .7em;border-left:4px solid #c08a1e"

Row = Sequence[object]


def recipe_html(recipe: Recipe) -> str:
    """A recipe: its accelerators in order, each with the options that it was given."""
    rows = [(item.use, _options(_given(item))) for item in recipe.accelerators]
    described = _paragraph(recipe.description) if recipe.description else ""
    nothing = "" if rows else _paragraph("no accelerators: the pipeline runs bare")
    heading = f"Recipe {recipe.name}".rstrip()
    return _box(heading, described + nothing + _table(("accelerator", "options"), rows))


def stack_html(stack: Stack) -> str:
    """A stack: on what it acts, its denoisers, and a line for each run."""
    denoisers = [
        (role, type(item.module).__name__, item.family) for role, item in stack.denoisers.items()
    ]
    runs = [(number, repr(report)) for number, report in enumerate(stack.reports, 1)]
    return _box(
        f"Stack on {stack.target_name}, {stack.state}",
        recipe_html(stack.recipe)
        + _table(("role", "model", "family"), denoisers)
        + _table(("run", "report"), runs),
    )


def report_html(report: Report) -> str:
    """A report: what to know first, then the figures, then what each accelerator did."""
    from sraccel.report.page.figures import figures, notices, title

    numbers = [(item.label, item.value, item.detail) for item in figures(report)]
    numbers.append(("Switch", _switch(report), report.switch_rule or ""))
    records = [_record(item) for item in report.accelerators]
    return _box(
        f"{title(report)}: {report.outcome}",
        "".join(_notice(text) for text in notices(report))
        + _table((), numbers)
        + _table(("accelerator", "factor", "chose", "skipped", "options"), records),
    )


def _switch(report: Report) -> str:
    return "none" if report.switch_step is None else f"at step {report.switch_step}"


def _record(record: AcceleratorRecord) -> Row:
    factor = record.factor if record.factor is not None else record.overhead
    kind = " (overhead)" if record.factor is None and factor is not None else ""
    shown = "" if factor is None else f"{factor:.2f}x{kind}"
    calls = (f"{record.chosen_calls} calls", f"{record.reused_calls} calls")
    return (record.name, shown, *calls, _options(record.options))


def _given(item: Any) -> dict[str, Any]:
    """The options that a recipe's item was given."""
    dumped = item.model_dump(mode="json", fallback=lambda value: type(value).__name__)
    return {name: dumped[name] for name in dumped if name in item.model_fields_set - {"use"}}


def _options(options: Mapping[str, Any]) -> str:
    given = ((name, value) for name, value in options.items() if value is not None)
    return ", ".join(f"{name}: {_short(value)}" for name, value in given)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _box(heading: str, content: str) -> str:
    return f"<div><strong>{escape(heading)}</strong>{content}</div>"


def _paragraph(text: str) -> str:
    return f'<div style="margin:.3em 0">{escape(text)}</div>'


def _notice(text: str) -> str:
    return f'<div style="{NOTICE}">{escape(text)}</div>'


def _table(headings: Sequence[str], rows: Iterable[Row]) -> str:
    """A table; nothing where it would have no row."""
    lines = [_line("td", row) for row in rows]
    if not lines:
        return ""
    head = f"<thead>{_line('th', headings)}</thead>" if headings else ""
    body = "".join(lines)
    style = "border-collapse:collapse;margin:.5em 0;color:inherit;background:transparent"
    return f'<table style="{style}">{head}<tbody>{body}</tbody></table>'


def _line(tag: str, cells: Row) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    inner = "".join(f'<{tag}{scope} style="{CELL}">{escape(str(c))}</{tag}>' for c in cells)
    return f'<tr style="background:transparent">{inner}</tr>'
