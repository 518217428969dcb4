"""The figures of `caches.py`: a table, the caches at equal skipped shares, a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from semantic import paired_interval

from sraccel.files import replacing

SHARES = (0.3, 0.45, 0.6, 0.7)
"""Skipped shares at which the caches are compared with TeaCache, prompt by prompt."""
TEACACHE, RETENTION, FEWER = "TeaCache", "TeaCache, retention", "fewer plain steps"
OWN = "TeaCache, the demo pair's own fit"
"""In the tables only."""
FIRST_BLOCK, MAG = "FirstBlockCache", "MagCache"
SEA, SEA_FLAT = "SeaCache", "SeaCache, order 0"
TAYLOR = "TaylorSeer"
COLOURS = {
    TEACACHE: "#0072b2",
    RETENTION: "#56b4e9",
    FIRST_BLOCK: "#d55e00",
    MAG: "#009e73",
    SEA: "#cc79a7",
    SEA_FLAT: "#8c5a7f",
    TAYLOR: "#e69f00",
    FEWER: "#555555",
}
"""After Okabe and Ito: they can be told apart by the colour-blind, too."""
MARKS = dict(zip(COLOURS, "osD^vP*x", strict=True))


def at_share(rows: list[dict[str, Any]], family: str, share: float) -> np.ndarray:
    """PSNR at a skipped share, one a prompt, between its neighbours; NaN outside of the line."""
    lines = zip(*(r["of_each_prompt"] for r in rows if r["family"] == family), strict=True)
    found = []
    for points in lines:
        x, y = zip(*sorted(points), strict=True)
        found.append(np.interp(share, x, y, left=np.nan, right=np.nan))
    return np.array(found)


def compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """PSNR of each family less TeaCache's at equal shares, with 95% intervals."""
    made: list[dict[str, Any]] = []
    families = list(dict.fromkeys(r["family"] for r in rows if r["family"] in {*COLOURS, OWN}))
    for family in families if TEACACHE in families else []:
        for share in SHARES:
            ours, theirs = (at_share(rows, name, share) for name in (family, TEACACHE))
            both = int((~np.isnan(ours - theirs)).sum())
            found: dict[str, Any] = {"family": family, "share": share, "prompts": both}
            if both >= 3:
                found["difference_db"] = paired_interval(ours, theirs)
                found["psnr_db"] = float(ours[~np.isnan(ours - theirs)].mean())
            made.append(found)
    return made


def show(rows: list[dict[str, Any]], comparison: list[dict[str, Any]]) -> None:
    """Print every setting, then the families at equal shares."""
    console = Console()
    if not console.is_terminal:  # a file has room for all columns
        console = Console(width=max(console.width, 180))
    table = Table(title="mean (95% interval over prompts); time: bare / cached, median, noisy")
    table.add_column("setting", no_wrap=True)
    for heading in ("skipped", "PSNR, dB", "time", "CPU time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for r in rows:
        table.add_row(
            r["name"] + (" (!)" if r["warnings"] else ""),
            f"{r['skipped'][0]:.1%}",
            _text(r["psnr_db"]),
            f"{r['time_ratio'][0]:.2f}x",
            f"{r['cpu_time_ratio'][0]:.2f}x",
        )
    equal = Table(
        title="PSNR, dB, at equal skipped shares, less TeaCache's (95% interval), prompts"
    )
    equal.add_column("cache", no_wrap=True)
    for share in SHARES:
        equal.add_column(f"{share:.0%}", justify="right", no_wrap=True)
    for family in dict.fromkeys(found["family"] for found in comparison):
        equal.add_row(family, *(_cell(c) for c in comparison if c["family"] == family))
    console.print(table, equal)
    for text in sorted({text for r in rows for text in r["warnings"]}):
        console.print(f"(!) {text}", highlight=False)


def _text(values: Any, sign: str = "") -> str:
    middle, low, high = (f"{value:{sign}.1f}" for value in values)
    return f"{middle} ({low} to {high})"


def _cell(found: dict[str, Any]) -> str:
    if "difference_db" not in found:
        return ""
    return f"{_text(found['difference_db'], '+')}, n={found['prompts']}"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """PSNR over the share of block forwards skipped, a line a cache, named at its right end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.4), layout="constrained", dpi=130)
    axes = figure.subplots()
    ends = {}
    for family, colour in COLOURS.items():
        line = sorted((r["skipped"][0], r["psnr_db"]) for r in rows if r["family"] == family)
        if not line:
            continue
        x = [share * 100 for share, _ in line]
        y = [psnr[0] for _, psnr in line]
        errors = [[m - low for _, (m, low, _) in line], [high - m for _, (m, _, high) in line]]
        axes.errorbar(
            x,
            y,
            yerr=errors,
            color=colour,
            marker=MARKS[family],
            linestyle="--" if family == FEWER else "-",
            linewidth=1.8,
            markersize=6,
            capsize=2.5,
            elinewidth=0.9,
        )
        ends[family] = (x[-1], y[-1])
    _name_lines(axes, ends)
    axes.set_xlabel("share of block forwards skipped (%)")
    axes.set_ylabel("PSNR to the bare run (dB, mean and 95% interval)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _name_lines(axes: Any, ends: dict[str, tuple[float, float]]) -> None:
    """Names in a column on the right, in the order of the lines' ends, none on another."""
    low, high = axes.get_ylim()
    gap, right = (high - low) / 19, max(x for x, _ in ends.values()) + 3
    height = -np.inf
    for family, (x, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        height = max(y, height + gap)
        axes.annotate(
            family,
            (x, y),
            (right, height),
            color=COLOURS[family],
            va="center",
            fontsize=10,
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS[family],
                "alpha": 0.5,
                "linewidth": 0.7,
                "relpos": (0, 0.5),
            },
        )
    axes.set_xlim(right=right + 17)
    axes.set_xticks(range(10, round(right), 10))
