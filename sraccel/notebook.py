"""How recipes and stacks look in a notebook, and the pieces of HTML that this is made of.

Text takes the notebook's own colour, and lines are half transparent, so that both read in light and
in dark. Whatever is said in them is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe

LINE = "1px solid rgba(128,128,128,.4)"
CELL = f"padding:.25em .9em .25em 0;text-align:left;vertical-align:top;border-top:{LINE}"
NOTICE = "margin:.5em 0;padding:.1em 0 .1em .7em;border-left:4px solid #c08a1e"

Row = Sequence[object]


def recipe_html(recipe: Recipe) -> str:
    """A recipe: its accelerators in order, each with the options that it was given."""
    rows = [(item.use, options(_given(item))) for item in recipe.accelerators]
    described = paragraph(recipe.description) if recipe.description else ""
    nothing = "" if rows else paragraph("no accelerators: the pipeline runs bare")
    heading = f"Recipe {recipe.name}".rstrip()
    return box(heading, described + nothing + table(("accelerator", "options"), rows))


def stack_html(stack: Stack) -> str:
    """A stack: on what it acts, its denoisers, and a line for each run."""
    denoisers = [
        (role, type(item.module).__name__, item.family) for role, item in stack.denoisers.items()
    ]
    runs = [(number, repr(report)) for number, report in enumerate(stack.reports, 1)]
    return box(
        f"Stack on {stack.target_name}, {stack.state}",
        recipe_html(stack.recipe)
        + table(("role", "model", "family"), denoisers)
        + table(("run", "report"), runs),
    )


def _given(item: Any) -> dict[str, Any]:
    """The options that a recipe's item was given."""
    dumped = item.model_dump(mode="json", fallback=lambda value: type(value).__name__)
    return {name: dumped[name] for name in dumped if name in item.model_fields_set - {"use"}}


def options(options: Mapping[str, Any]) -> str:
    """Options in one line; those that are None are left out."""
    given = ((name, value) for name, value in options.items() if value is not None)
    return ", ".join(f"{name}: {shortened(str(value))}" for name, value in given)


def box(heading: str, content: str) -> str:
    """A heading, and what is under it."""
    return f"<div><strong>{escape(heading)}</strong>{content}</div>"


def paragraph(text: str) -> str:
    """A line of text."""
    return f'<div style="margin:.3em 0">{escape(text)}</div>'


def notice(text: str) -> str:
    """A line of text that must not be missed."""
    return f'<div style="{NOTICE}">{escape(text)}</div>'


def table(headings: Sequence[str], rows: Iterable[Row]) -> str:
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
