"""The table of the figures that `Experiment.summary` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def table(title: str, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> Table:
    """Rows as a table: medians (quartiles), means (95% intervals)."""
    caption = "median and quartiles; score and difference: mean and 95% interval"
    made = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    made.add_column("setting", no_wrap=True)
    shown = {key: heading for key, heading in columns.items() if any(r[key] for r in rows)}
    for heading in shown.values():
        made.add_column(heading, justify="right")
    for row in rows:
        made.add_row(row["setting"], *(_cell(key, row[key]) for key in shown))
    return made


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    scale, digits = {"psnr_db": (1, 1), "score": (100, 1), "score_difference": (100, 1)}.get(
        key, (1, 3)
    )
    if isinstance(value, float):
        return f"{scale * value:.{digits}f}"
    middle, low, high = (f"{scale * each:.{digits}f}" for each in value)
    return f"{middle}\n{low}..{high}"
