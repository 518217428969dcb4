"""Effects of every order as rows of tables: of speed, and of each loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.report.page.words import TIMES
from sraccel.study.report.page.written import Written, difference, times
from sraccel.study.report.words import SPEED, metric

if TYPE_CHECKING:
    from sraccel.study.report_model import Effects, Estimate, StudyReport

ORDERS = {1: "main effect", 2: "of two", 3: "of three", 4: "of four"}


@dataclass(frozen=True)
class EffectRow:
    """An effect; `why` says what is missing."""

    name: str
    order: str
    average: Written
    alone: Written
    why: str


@dataclass(frozen=True)
class EffectTable:
    """The effects on one outcome."""

    outcome: str
    label: str
    rows: list[EffectRow]


@dataclass(frozen=True)
class OrderRow:
    """One accelerator before another; `why` says what is missing."""

    name: str
    factor: Written
    why: str


def effect_tables(report: StudyReport, names: Sequence[str]) -> list[EffectTable]:
    """Speed first, then the loss of each metric; those without any effect are left out."""
    tables = [EffectTable(SPEED, "Speedup, as factors", _speed(report.analysis.speed))]
    for name in names:
        effects = report.analysis.losses.get(name)
        if effects is not None:
            label = f"{metric(name).lost[:1].upper()}{metric(name).lost[1:]}, as differences"
            tables.append(EffectTable(name, label, _loss(effects, metric(name).loss_places)))
    return [table for table in tables if table.rows]


def order_rows(report: StudyReport) -> list[OrderRow]:
    """What it does to the speedup that one stands before the other."""
    return [
        OrderRow(f"{order.first} before {order.second}", times(order.factor, 3), order.why or "")
        for order in report.analysis.orders
    ]


def _speed(effects: Effects) -> list[EffectRow]:
    return _rows(effects, lambda estimate: times(estimate, 3))


def _loss(effects: Effects, places: int) -> list[EffectRow]:
    return _rows(effects, lambda estimate: difference(estimate, places))


def _rows(effects: Effects, write: Callable[[Estimate | None], Written]) -> list[EffectRow]:
    return [
        EffectRow(
            f" {TIMES} ".join(effect.accelerators),
            ORDERS.get(len(effect.accelerators), f"of {len(effect.accelerators)}"),
            write(effect.average),
            write(effect.alone),
            effect.why or "",
        )
        for effect in effects.effects
    ]
