"""Tables and pictures of the figures that `Experiment.summary` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

SPEED_AND_QUALITY = {
    "speedup": "speedup",
    "switch_step": "switch step",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "low_error": "low-band error",
    "high_error": "high-band error",
    "score": "score, %",
    "score_difference": "difference, points",
}
"""Columns of a table whose rows are summaries."""


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
    if key == "switch_step":
        taken = [step for step in value if step is not None]
        never = len(value) - len(taken)
        return (_range(taken) if taken else "") + (f" never: {never}" if taken and never else "")
    scale, digits = {
        "speedup": (1, 2),
        "psnr_db": (1, 1),
        "score": (100, 1),
        "score_difference": (100, 1),
    }.get(key, (1, 3))
    if isinstance(value, float):
        return f"{scale * value:.{digits}f}"
    middle, low, high = (f"{scale * each:.{digits}f}" for each in value)
    return f"{middle}\n{low}..{high}"


def _range(steps: list[int]) -> str:
    middle = f"{np.median(steps):g}"
    return middle if min(steps) == max(steps) else f"{middle} ({min(steps)} to {max(steps)})"


def draw_front(rows: list[dict[str, Any]], figure: Any) -> None:
    """Quality over speedup, a mark a setting: PSNR to the sketch model's video, and the score."""
    scored = rows[0]["score"] is not None
    panels = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    others = [row for row in rows if row["setting"] != row["reference"]]
    _marks(panels[0], others, "psnr_db", 1, "PSNR to sketch only (dB)")
    if scored:
        _marks(panels[1], others, "score_difference", 100, "score to sketch only (points)")
        panels[1].axhline(0, color="0.5", linewidth=0.8)


def _marks(axes: Any, rows: list[dict[str, Any]], key: str, scale: float, name: str) -> None:
    for row in rows:
        x, y = np.array(row["speedup"]), np.array(row[key]) * scale
        axes.errorbar(x[0], y[0], xerr=_arms(x), yerr=_arms(y), fmt="o", color="C0", elinewidth=0.8)
        axes.annotate(
            row["setting"],
            (x[0], y[0]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            rotation=25,  # settings often lie side by side
        )
    axes.set(xlabel="speedup (denoising, measured)", ylabel=name)
    axes.margins(x=0.2)
    axes.grid(alpha=0.3)


def _arms(values: np.ndarray) -> np.ndarray:
    """Lengths of an error bar's two arms, shape (2, 1)."""
    arms: np.ndarray = np.abs(values[1:] - values[0])[:, None]
    return arms
