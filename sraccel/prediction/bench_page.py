"""A bench as one page that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.files import save_text
from sraccel.prediction.bench_table import decisions_of_row, figures_of, name_of
from sraccel.report.page.attribution import Bar
from sraccel.report.page.shell import Shell
from sraccel.report.words import TIMES, factor, size, spoken, words

if TYPE_CHECKING:
    from sraccel.prediction.bench_result import Bench, Row

PAGE = Shell(Path(__file__).parent / "page", "bench.html.jinja", ("bench.css",), ())
MARGIN = 4.0
"""Room at both ends of the axis, in percent."""


@dataclass(frozen=True)
class Axis:
    """Logarithms of speedups to percent of the width; 1x is always on it."""

    low: float
    high: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Axis:
        """One that holds all rows."""
        ends = [end for row in rows if row.speedup for end in (row.speedup.low, row.speedup.high)]
        return cls(math.log(min(1.0, *ends)), math.log(max(1.0, *ends)))

    def percent(self, speedup: float) -> float:
        span = (self.high - self.low) or 1.0
        return MARGIN + (100 - 2 * MARGIN) * (math.log(speedup) - self.low) / span

    def ticks(self) -> list[tuple[float, str]]:
        """Powers of two: where they are, and what they say."""
        first, last = math.ceil(self.low / math.log(2)), math.floor(self.high / math.log(2))
        return [(self.percent(2.0**n), f"{2.0**n:g}{TIMES}") for n in range(first, last + 1)]


@dataclass(frozen=True)
class PageRow:
    """A row of the page's table."""

    bar: Bar
    seconds: str


@dataclass(frozen=True)
class Figure:
    """A key figure; `missing` is for the templates that all pages share."""

    label: str
    value: str
    detail: str = ""
    missing: bool = False


def save_bench_page(bench: Bench, path: str | Path) -> Path:
    """Write it.

    Raises:
        OutputError: it cannot be written.
    """
    axis = Axis.of(bench.rows)
    text = PAGE.render(
        bench.model_dump(mode="json"),
        kind="sraccel bench",
        title=bench.model,
        bench=bench,
        figures=list(_figures(bench)),
        rows=[_page_row(row, axis) for row in bench.rows],
        ticks=axis.ticks(),
        call=[(words(name), spoken(value)) for name, value in bench.call.items()],
        machine=[*bench.environment.items(), ("precision", bench.dtype), *bench.sources.items()],
    )
    return save_text(text, path)


def _page_row(row: Row, axis: Axis) -> PageRow:
    value, spread, seconds = figures_of(row)
    remark = decisions_of_row(row)
    if row.speedup is None:
        return PageRow(Bar(name_of(row), value, "missing", remark=remark), seconds)
    start, end = sorted((axis.percent(1.0), axis.percent(row.speedup.value)))
    whisker = (axis.percent(row.speedup.low), axis.percent(row.speedup.high))
    bar = Bar(name_of(row), value, "factor", start, end - start, whisker, remark)
    return PageRow(bar, f"{seconds} ({spread})")


def _figures(bench: Bench) -> Iterator[Figure]:
    best, bare = bench.rows[1] if len(bench.rows) > 1 else bench.rows[0], bench.rows[0]
    value, spread, seconds = figures_of(best)
    yield Figure("Fastest", value, f"{name_of(best)}; {spread} over {bench.rounds} rounds")
    yield Figure("Denoising", seconds, f"bare: {figures_of(bare)[2]}")
    free = size(bench.memory.free)
    yield Figure("Memory of the denoisers", size(bench.memory.needed), f"free: {free}")
    everything = next((row for row in bench.rows if row.speedup and _is_whole(row, bench)), best)
    assert everything.speedup is not None
    yield Figure("The whole recipe", factor(everything.speedup.value), name_of(everything))


def _is_whole(row: Row, bench: Bench) -> bool:
    items = bench.recipe.get("accelerators") or []
    return row.accelerators == [item.get("use") for item in items]
