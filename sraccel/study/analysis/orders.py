"""Whether one accelerator had better stand before another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from sraccel.study.analysis.outcome import Contrast, Outcome
from sraccel.study.cell import Cell
from sraccel.study.results import Order


def estimate_orders(
    speed: Outcome, cells: Sequence[Cell], accelerators: Sequence[str]
) -> list[Order]:
    """Every pair of accelerators, in the recipe's order.

    The factor is that between orders in which the first stands before the second, and the same
    orders with the two exchanged, so that whatever else differs between orders cancels. Of a study
    of all orders that is the mean of those with the first before the second, over the others'.
    """
    orders = {
        cell.uses: cell.name
        for cell in cells
        if cell.kind == "stack"
        and not cell.settings
        and not cell.sampling
        and sorted(cell.uses) == sorted(accelerators)
    }
    return [_order(*pair, speed, orders) for pair in itertools.combinations(accelerators, 2)]


def _order(first: str, second: str, speed: Outcome, orders: dict[tuple[str, ...], str]) -> Order:
    exchange = {first: second, second: first}
    contrast: Contrast = {}
    for uses, cell in orders.items():
        exchanged = orders.get(tuple(exchange.get(name, name) for name in uses))
        if exchanged is not None and uses.index(first) < uses.index(second):
            contrast = {**contrast, cell: 1.0, exchanged: -1.0}
    if not contrast:
        why: str | None = f"no two orders of the study differ by {first} and {second} alone"
    else:
        why = speed.why_not(contrast)
    if why is not None:
        return Order(first=first, second=second, why=why)
    compared = len(contrast) / 2
    (draws,) = speed.draw({cell: sign / compared for cell, sign in contrast.items()})
    return Order(first=first, second=second, factor=draws.estimate(math.exp))
