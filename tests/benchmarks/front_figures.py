"""The figures of `front.py`: rows with intervals, the goal's sentences, a table and a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from front_runs import Line, counted, units_of
from front_settings import (
    AT_OWN,
    AT_SCHEDULE,
    BARE,
    FAST,
    OWN,
    PEERS,
    PLACED,
    REACHES,
    RENDER,
    SCHEDULE,
    STACK,
    TARGETS,
    UNIFORM,
    Setting,
)
from points import quartiles
from semantic import paired_interval

from sraccel.files import replacing

Row = dict[str, Any]
NEAR = 1.25
"""A method stands at a target up to this many times as fast."""
OVER_PEER, OVER_UNIFORM, OVER_PLACED = 3.0, 12.0, 1.0
POINTS = 2.0


def rows_of(settings: Sequence[Setting], lines: Sequence[Line]) -> list[Row]:
    """A row a setting, over the prompts that it was run on; differences are paired with bare."""
    units = units_of(lines)
    known = {(line["setting"], line["seed"]): line for line in lines}
    return [
        _row(setting, own, [known[BARE, line["seed"]] for line in own], units)
        for setting in settings
        if (own := [line for line in lines if line["setting"] == setting.name])
    ]


def _row(setting: Setting, own: list[Line], bare: list[Line], units: Any) -> Row:
    pairs = list(zip(own, bare, strict=True))
    row: Row = {"family": setting.family, "label": setting.label, "name": setting.name}
    row["spec"] = {key: value for key, value in setting.spec.items() if key != "prompts"}
    row["counted_speedup"] = float(
        np.mean([counted(b, units) for b in bare]) / np.mean([counted(o, units) for o in own])
    )
    row["speedup"] = quartiles([b["seconds"] / o["seconds"] for o, b in pairs])
    row["cpu_speedup"] = quartiles([b["cpu_seconds"] / o["cpu_seconds"] for o, b in pairs])
    row["computed_steps"] = float(np.mean([len(o["computed"]) for o in own]))
    for key in ("psnr_db", "ssim", "score"):
        row[key] = interval([o[key] for o in own])
    row["score_difference"] = interval([o["score"] - b["score"] for o, b in pairs])
    row["of_each_prompt"] = {
        str(o["seed"]): [round(o["psnr_db"], 3), round(o["score"], 4)] for o in own
    }
    return row


def interval(values: Sequence[float]) -> list[float]:
    """Mean, and its 95% bootstrap interval over prompts."""
    return list(paired_interval(np.array(values), np.zeros(len(values))))


def difference(one: Row, other: Row, index: int = 0) -> list[float]:
    """Of two rows, on the prompts that both have: PSNR (index 0) or score (1), with interval."""
    ours, theirs = one["of_each_prompt"], other["of_each_prompt"]
    return interval([ours[s][index] - theirs[s][index] for s in ours if s in theirs])


# The goal's sentences.


def verdict(rows: list[Row]) -> list[dict[str, Any]]:
    """Each sentence: what was asked, what was found with its interval, whether it is reached."""
    found: list[dict[str, Any]] = []
    for target in TARGETS:
        at = [r for r in rows if target * REACHES <= r["counted_speedup"] < target * NEAR]
        ours = _best(at, lambda r: r["family"] in OWN)
        if ours is None:
            continue
        for what, families, asked in (
            ("the best cache of another package", PEERS, OVER_PEER),
            ("fewer steps, uniform", (UNIFORM,), OVER_UNIFORM),
            ("fewer steps, best placed", (PLACED, AT_SCHEDULE), OVER_PLACED),
        ):
            rival = _best(at, lambda r, families=families: r["family"] in families)  # type: ignore[misc]
            if rival is not None:
                found.append(_sentence(f"at {target:g}x, over {what}", ours, rival, asked))
    return [*found, *_never_below(rows), *_fast(rows)]


def _best(rows: list[Row], fits: Callable[[Row], bool], key: str = "psnr_db") -> Row | None:
    return max((r for r in rows if fits(r)), key=lambda r: r[key][0], default=None)


def _sentence(
    said: str, ours: Row, rival: Row, asked: float, index: int = 0, strict: bool = True
) -> dict[str, Any]:
    scale = 100 if index else 1
    got = [scale * value for value in difference(ours, rival, index)]
    return {
        "sentence": said,
        "ours": ours["name"],
        "rival": rival["name"],
        "asked": asked,
        "unit": "points" if index else "dB",
        "difference": got,
        "reached": got[0] >= asked and (not strict or got[1] > 0),
    }


def _never_below(rows: list[Row]) -> list[dict[str, Any]]:
    """A calibrated recipe beside plain steps, as many as it computes."""
    return [
        _sentence(f"calibrated, over {rival['name']}", ours, rival, 0.0)
        for ours in rows
        if ours["family"] == SCHEDULE
        for rival in rows
        if rival["family"] in (PLACED, AT_SCHEDULE)
        and round(rival["computed_steps"]) == round(ours["computed_steps"])
    ]


def _fast(rows: list[Row]) -> list[dict[str, Any]]:
    """The stack near ten times: beside the bare score, and beside every rival as fast."""
    bare = next(r for r in rows if r["family"] == BARE)
    ours = _best(rows, lambda r: r["family"] == STACK, "score")
    if ours is None:
        return []
    speed = ours["counted_speedup"]
    found = [_sentence(f"stack at {speed:.1f}x, score over bare", ours, bare, -POINTS, 1, False)]
    found[0]["reached"] &= speed >= FAST * REACHES
    rivals = [r for r in rows if r["family"] not in (STACK, AT_OWN, RENDER)]
    for rival in rivals:
        if rival["counted_speedup"] >= speed / NEAR:
            said = f"stack, score over {rival['name']} ({rival['counted_speedup']:.1f}x)"
            found.append(_sentence(said, ours, rival, 0.0, 1))
    return found


def said(verdicts: list[dict[str, Any]]) -> str:
    """A line a sentence."""
    lines = []
    for one in verdicts:
        middle, low, high = one["difference"]
        reached = "reached" if one["reached"] else "not reached"
        lines.append(
            f"{one['sentence']}: {middle:+.1f} {one['unit']} ({low:+.1f} to {high:+.1f}), asked "
            f"{one['asked']:+g}: {reached} [{one['ours']} | {one['rival']}]"
        )
    return "\n".join(lines)


# Table and picture.

HEADINGS = ("counted", "seconds", "CPU", "computed", "PSNR, dB", "SSIM", "score", "prompts")


def cells(row: Row) -> list[str]:
    """A row of the table, in text."""
    psnr, low, high = row["psnr_db"]
    return [
        row["name"],
        f"{row['counted_speedup']:.2f}x",
        f"{row['speedup'][0]:.2f}x",
        f"{row['cpu_speedup'][0]:.2f}x",
        f"{row['computed_steps']:.1f}",
        f"{psnr:.1f} ({low:.1f} to {high:.1f})",
        f"{row['ssim'][0]:.3f}",
        f"{row['score'][0]:.1%}",
        str(len(row["of_each_prompt"])),
    ]


def ordered(rows: list[Row]) -> list[Row]:
    """By target, the best first."""

    def key(row: Row) -> Any:
        speed = row["counted_speedup"]
        return sum(speed >= t * REACHES for t in (*TARGETS, FAST / NEAR)), -row["psnr_db"][0]

    return sorted(rows, key=key)


def show(rows: list[Row]) -> None:
    """Print all settings."""
    console = Console()
    if not console.is_terminal:  # a file has room for all columns
        console = Console(width=max(console.width, 200))
    table = Table(title="speedups over bare; PSNR and SSIM to it; means, 95% intervals")
    for heading in ("setting", *HEADINGS):
        table.add_column(heading, justify="left" if heading == "setting" else "right", no_wrap=True)
    for row in ordered(rows):
        table.add_row(*cells(row))
    console.print(table)


GROUPS = (
    ("caches of other packages", PEERS, "#d55e00", "o"),
    ("sraccel's", OWN, "#0072b2", "s"),
    ("placed steps, SRDiffusion", (STACK,), "#009e73", "D"),
    ("fewer steps, uniform", (UNIFORM,), "#777777", "v"),
    ("fewer steps, placed", (PLACED,), "#111111", "^"),
    ("fewer steps, the schedule's", (AT_SCHEDULE,), "#111111", "x"),
    ("render model alone", (RENDER,), "#777777", "P"),
)
"""Of the picture: words of the legend, families, colour, mark."""
NAMED = (*PEERS, *OWN)
"""Families that stand beside their marks; the legend says the others."""


def draw(rows: list[Row], path: Path) -> None:
    """PSNR over counted speedup: other packages' caches, ours, and plain steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.5), layout="constrained", dpi=110)
    axes = figure.subplots()
    for words, families, colour, mark in GROUPS:
        chosen = [row for row in rows if row["family"] in families]
        if not chosen:
            continue
        values = np.array([row["psnr_db"] for row in chosen])
        axes.errorbar(
            [row["counted_speedup"] for row in chosen],
            values[:, 0],
            yerr=np.abs(values[:, 1:] - values[:, :1]).T,
            fmt=mark,
            color=colour,
            label=words,
            capsize=2,
            elinewidth=0.8,
        )
    for row in rows:
        if row["family"] in NAMED:
            _name(axes, row, below=_has_neighbour(row, rows))
    axes.set_xscale("log", base=2)
    axes.set_xticks([3, 4, 5, 6, 8, 10, 12])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.set_xlabel("speedup over the bare run (counted)")
    axes.set_ylabel("PSNR to the bare video (dB, mean and 95% interval)")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _name(axes: Any, row: Row, below: bool) -> None:
    colour = next(colour for _, families, colour, _ in GROUPS if row["family"] in families)
    at = (row["counted_speedup"], row["psnr_db"][0])
    offset = (6, -11 if below else 3)
    words = row["family"].split(" (")[0]
    axes.annotate(words, at, offset, textcoords="offset points", fontsize=8, color=colour)


def _has_neighbour(row: Row, rows: list[Row]) -> bool:
    """Whether the name would run into a mark to the right that is a little higher."""
    return any(
        1.0 < other["counted_speedup"] / row["counted_speedup"] < 1.2
        and 0.0 <= other["psnr_db"][0] - row["psnr_db"][0] < 2.5
        for other in rows
        if other["family"] in NAMED
    )
