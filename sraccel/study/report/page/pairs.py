"""Pairs of accelerators as rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sraccel.study.report.page.written import Written, plain, times
from sraccel.study.report.words import chain, known, verdict

if TYPE_CHECKING:
    from sraccel.study.report_model import Pair, StudyReport


@dataclass(frozen=True)
class PairRow:
    """A pair; what its figures say stands in `verdict`."""

    name: str
    figures: list[Written]
    verdict: str


def pair_rows(report: StudyReport) -> list[PairRow]:
    """Those that keep least come first; those without an estimate last."""
    pairs = sorted(report.analysis.pairs, key=_kept)
    return [
        PairRow(
            chain(pair.accelerators),
            [
                plain(pair.index, 2),
                plain(pair.kept, 3),
                times(pair.together, 2),
                times(pair.product, 2),
                times(pair.best_single, 3),
            ],
            verdict(pair),
        )
        for pair in pairs
    ]


def _kept(pair: Pair) -> float:
    value = known(pair.kept)
    return float("inf") if value is None else value
