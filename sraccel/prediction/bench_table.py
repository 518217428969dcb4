"""A bench in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from sraccel.prediction.table import listed_lines
from sraccel.report.table import plain_text
from sraccel.report.words import DASH, chain, duration, factor, share

if TYPE_CHECKING:
    from sraccel.prediction.bench_result import Bench, Row

BARE = "bare"


def table(bench: Bench) -> RenderableType:
    """The subsets, and what their figures rest on."""
    return Group(
        *(plain_text(f"! {one}", "bold yellow") for one in bench.warnings),
        plain_text(
            f"{bench.model} on {bench.environment.get('device', '')}, {bench.dtype}", "bold"
        ),
        _rows(bench),
        "",
        *listed_lines("measured here", bench.measured),
        *listed_lines("assumed", bench.assumed),
        *listed_lines("not counted", bench.left_out),
    )


def _rows(bench: Bench) -> Table:
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("accelerators")
    for heading in ("speedup", "spread", "seconds"):
        rows.add_column(heading, justify="right")
    rows.add_column("decisions")
    for row in bench.rows:
        rows.add_row(*map(plain_text, (name_of(row), *figures_of(row), decisions_of_row(row))))
    return rows


def name_of(row: Row) -> str:
    """`srdiffusion + teacache`, or `bare`."""
    return chain(row.accelerators) or BARE


def figures_of(row: Row) -> tuple[str, str, str]:
    """Speedup, its spread over the rounds, and seconds."""
    if row.speedup is None or row.seconds is None:
        return DASH, DASH, DASH
    spread = f"{factor(row.speedup.low)} to {factor(row.speedup.high)}"
    return factor(row.speedup.value), spread, duration(row.seconds.value)


def decisions_of_row(row: Row) -> str:
    """What the row's decisions are, or why it was refused."""
    if row.refusal is not None:
        return f"not alone: {row.refusal}"
    parts = [] if row.switch_step is None else [f"switch at {row.switch_step}"]
    parts += [f"{share(part)} of {role} skipped" for role, part in row.skipped.items()]
    return ", ".join(parts)
