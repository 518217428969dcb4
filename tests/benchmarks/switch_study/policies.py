"""Which signal should switch, and does adapting pay? Compares policies on tables of `table.py`.

Everything that a policy can choose is chosen on a table's even prompts, so that its mean cost is
that of each wanted speedup; what it is worth is measured on the odd ones. Costs are counted: a
render step costs `--ratio` of a sketch step. With several tables, policies that were chosen on one
are tried on each other, too.

    python tests/benchmarks/switch_study/policies.py runs/switch_study/pair
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "srdiffusion"))

from comparison import compare, oracle_at, transferable
from lines import POLICIES
from picture import draw
from tables import Table, read_table

from sraccel.errors import SraccelError
from sraccel.files import output_folder, replacing

SPEEDUPS = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0)


def analysed(
    tables: dict[str, Table], metrics: list[str], speedups: list[float]
) -> list[dict[str, Any]]:
    """All rows: of each table, then of policies that were chosen on another one."""
    rows = []
    for trained, tested in itertools.product(tables, tables):
        train, test = tables[trained].halves()[0], tables[tested].halves()[1]
        names = list(POLICIES) if trained == tested else transferable(train, test)
        for metric in metrics:
            where = {"trained": trained, "tested": tested, "metric": metric}
            rows += [{**where, **row} for row in compare(train, test, metric, speedups, names)]
    return rows


def description(table: Table, metrics: list[str], speedups: list[float]) -> dict[str, Any]:
    """What a table holds: prompts, steps, quality without a switch, the oracle's switch steps."""
    train, test = table.halves()
    return {
        "prompts": {"training": len(train.prompts), "held out": len(test.prompts)},
        "steps": table.num_steps,
        "ratio": table.ratio,
        "curves": {
            metric: {
                "steps": test.full.steps.tolist(),
                "mean": np.round(test.full.quality[metric].mean(axis=0), 5).tolist(),
            }
            for metric in test.full.quality
        },
        "oracle_switches": {
            metric: {
                f"{speedup:g}": np.round(oracle_at(test, metric, 1 / speedup).switch, 2).tolist()
                for speedup in speedups
            }
            for metric in metrics
        },
    }


def show(rows: list[dict[str, Any]], speedups: list[float], console: Console) -> None:
    """Print a table for each training table, held-out table and metric."""
    groups = itertools.groupby(rows, key=lambda r: (r["trained"], r["tested"], r["metric"]))
    for (trained, tested, metric), group in groups:
        title = f"{metric} on {tested}" + ("" if trained == tested else f", chosen on {trained}")
        caption = (
            "quality in points (gain over the fixed step of the same cost) @ speedup where it is "
            "not the wanted one; overall: gain and 95% interval, share of the oracle's gain"
        )
        printed = Printed(title=title, caption=caption)
        printed.add_column("policy")
        for speedup in speedups:
            printed.add_column(f"{speedup:g}x", justify="right", no_wrap=True)
        printed.add_column("overall", justify="right", no_wrap=True)
        printed.add_column("share", justify="right", no_wrap=True)
        for name, of_policy in itertools.groupby(group, key=lambda r: r["policy"]):
            cells = {row["wanted"]: row for row in of_policy}
            alone = cells[None].get("speedup")
            printed.add_row(
                name if alone is None else f"{name} @{alone:.2f}x",
                *(level_text(cells[speedup]) if speedup in cells else "" for speedup in speedups),
                interval_text(cells[None]["gain"], "+.1f"),
                interval_text(cells[None]["share"], ".0f"),
            )
        console.print(printed)


def level_text(row: dict[str, Any]) -> str:
    """Quality and gain; the speedup where it differs by more than a twentieth."""
    text = f"{100 * row['quality']:.1f} ({100 * row['gain'][0]:+.1f})"
    off = abs(row["speedup"] / row["wanted"] - 1) > 0.05
    return f"{text} @{row['speedup']:.2g}" if off else text


def interval_text(values: Any, kind: str) -> str:
    """A mean and its interval, times 100."""
    if values is None:
        return ""
    middle, low, high = (f"{100 * value:{kind}}" for value in values)
    return f"{middle} ({low} to {high})"


def main(given: list[str] | None = None) -> None:
    """Compare, print, and write switching.json and switching.png."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+", help="folders of table.py")
    parser.add_argument("--ratio", type=float, help="cost of a render step; measured, unless given")
    parser.add_argument("--speedups", type=float, nargs="+", default=list(SPEEDUPS))
    parser.add_argument("--metrics", nargs="+", default=["score", "iou"])
    parser.add_argument("--out", type=Path, default=Path("runs/switch_study"))
    arguments = parser.parse_args(given)
    out = output_folder(arguments.out)
    tables = {folder.name: read_table(folder, arguments.ratio) for folder in arguments.tables}
    rows = analysed(tables, arguments.metrics, arguments.speedups)
    described = {
        name: description(table, arguments.metrics, arguments.speedups)
        for name, table in tables.items()
    }
    console = Console()
    if not console.is_terminal:  # a file has room for all columns
        console = Console(width=190)
    show(rows, arguments.speedups, console)
    content = {"tables": described, "rows": rows}
    with replacing(out / "switching.json") as path:
        path.write_text(json.dumps(content).replace('{"trained"', '\n{"trained"') + "\n")
    with replacing(out / "switching.png") as path:
        draw(rows, described, arguments.metrics, path)
    console.print(f"{out}: switching.json, switching.png", highlight=False)


if __name__ == "__main__":
    try:
        main()
    except (SraccelError, OSError) as error:
        sys.exit(f"error: {error}")
