"""`sraccel plugins --matrix`: which accelerators go together, tried on the demo pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sraccel.check.matrix import Pair

YES, ALONE, NO = "yes", "-", "no"


def show_matrix(names: Sequence[str], as_json: bool) -> None:
    """Compose each pair, and print a row for each accelerator that comes first in a recipe."""
    from sraccel.check.matrix import pairs
    from sraccel.models.loading import load_demo

    found = list(pairs(load_demo("transformer"), names))
    if as_json:
        typer.echo(json.dumps([asdict(pair) for pair in found], indent=2))
        return
    console = Console()
    console.print(_table(names, found))
    refused = [pair for pair in found if pair.refusal is not None]
    for pair in refused:
        who = pair.first if pair.first == pair.second else f"{pair.first}, then {pair.second}"
        console.print(Text(f"\n{who}: ", style="bold").append(str(pair.refusal), "not bold"))


def _table(names: Sequence[str], found: Sequence[Pair]) -> Table:
    said = {(pair.first, pair.second): pair.refusal is None for pair in found}
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("listed first", *names):
        rows.add_column(heading, overflow="fold")
    for first in names:
        cells = [_cell(first, second, said.get((first, second))) for second in names]
        rows.add_row(Text(first, style="bold"), *cells)
    return rows


def _cell(first: str, second: str, together: bool | None) -> str:
    if together is None or (first == second and together):
        return ALONE
    return YES if together else NO
