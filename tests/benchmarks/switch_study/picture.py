"""Quality over speedup, a line a policy; and where the oracle switches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from comparison import NEIGHBOURS, ORACLE
from lines import FIXED

STYLES = {
    ORACLE: {"color": "black", "linestyle": "--"},
    NEIGHBOURS: {"color": "black", "linestyle": ":"},
    FIXED: {"color": "tab:blue", "linewidth": 2.5},
    "guided D, paper's rule": {"color": "tab:red"},
    "guided D, min_step": {"color": "tab:orange"},
    "x0-D, level": {"color": "tab:purple"},
    "both models' distance, level": {"color": "tab:brown"},
    "learned": {"color": "tab:green", "linewidth": 2.5},
    "fewer placed steps": {"color": "0.45"},
    "fewer uniform steps": {"color": "0.75"},
    "placed steps, fixed switch": {"color": "tab:cyan"},
}
"""The policies that are drawn; the others are in the table."""


def draw(
    rows: list[dict[str, Any]], tables: dict[str, Any], metrics: list[str], path: Path
) -> None:
    """A row of panels for each table: each metric over speedup, then the oracle's switch steps."""
    from matplotlib.figure import Figure

    columns = len(metrics) + 1
    figure = Figure(figsize=(5.2 * columns, 4.4 * len(tables) + 0.8), layout="constrained", dpi=130)
    panels = figure.subplots(len(tables), columns, squeeze=False)
    for line, (name, table) in zip(panels, tables.items(), strict=True):
        for axes, metric in zip(line, metrics, strict=False):
            chosen = [
                row
                for row in rows
                if row["trained"] == row["tested"] == name and row["metric"] == metric
            ]
            _draw_quality(axes, chosen, table["curves"][metric]["mean"][-1], metric)
            axes.set_title(f"{name}: {table['prompts']['held out']} held-out prompts", fontsize=10)
        _draw_oracle(line[-1], table["oracle_switches"][metrics[0]], table["steps"], metrics[0])
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.savefig(path, format="png")


def _draw_quality(axes: Any, rows: list[dict[str, Any]], bare: float, metric: str) -> None:
    for policy, style in STYLES.items():
        made = [row for row in rows if row["policy"] == policy and row["wanted"] is not None]
        points = sorted((row["speedup"], 100 * row["quality"]) for row in made)
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=policy, **style)
    axes.axhline(100 * bare, color="0.5", linewidth=0.8)
    where = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "top"}
    axes.annotate("no switch", (0.99, 100 * bare), **where)
    axes.set_xlabel("speedup, by counted cost")
    axes.set_ylabel(f"{metric}, mean (%)")
    axes.grid(alpha=0.3)


def _draw_oracle(axes: Any, switches: dict[str, list[float]], steps: int, metric: str) -> None:
    """A row of points for each speedup, a point a prompt; the mark is the median."""
    for row, values in enumerate(switches.values()):
        jitter = np.random.default_rng(row).uniform(-0.3, 0.3, len(values))
        axes.scatter(values, row + jitter, s=6, alpha=0.4, linewidths=0, color="tab:blue")
        axes.plot([np.median(values)], [row], "|", color="black", markersize=22)
    axes.set_yticks(range(len(switches)), [f"{speedup}x" for speedup in switches])
    axes.set_xlim(-0.5, steps + 0.5)
    axes.set_xlabel(f"the oracle's switch step, by {metric}")
    axes.set_ylabel("speedup")
    axes.grid(alpha=0.3)
