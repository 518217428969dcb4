"""Does the demo pair rank caches as large models do? Kendall's tau with the published orders.

    python tests/benchmarks/caches.py --prompts 32 --out docs/assets/benchmarks
    python tests/benchmarks/ranking.py --out docs/assets/benchmarks

A published table says what some methods keep of the bare run (PSNR) at a speedup each. It orders
two methods at equal cost where the better one is as fast as the other or faster; where the faster
one is the worse, it says nothing of that. Here both are read off `caches.json` at the better one's
published speedup: PSNR between the two nearest settings, prompt by prompt; speedup is that of the
blocks that ran. Tau is the share of pairs that agree less that of those that do not, over all
tables; its interval is a bootstrap over prompts. Published differences below half a decibel are no
order. Where two tables contradict each other no ranking can agree with both, so the best tau that
any could reach stands beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from cache_figures import FEWER, MAG, TAYLOR, TEACACHE, at_share
from placed import DEFAULT
from points import start
from rich.console import Console
from rich.table import Table
from semantic import BOOTSTRAPS

from sraccel.errors import ConflictError

Row = dict[str, Any]
LEAST_DB = 0.5
SLACK = 0.1
"""Speedups within this share of each other are taken for equal."""
NOT_HERE = ("EasyCache", "ScalingCache", "MixCache")


@dataclass(frozen=True)
class Published:
    """One line of a published table.

    Attributes:
        method: a family of `caches.py`, or one of `NOT_HERE`.
        speedup: of the whole run, latency.
        psnr_db: to the bare run of 50 steps.
    """

    method: str
    speedup: float
    psnr_db: float


SCALING_CACHE = "README of github.com/KlingAIResearch/ScalingCache"
MAG_CACHE = "MagCache, arXiv 2506.09045, table 1"
TABLES: dict[str, tuple[str, Sequence[Published]]] = {
    "Wan 2.1 1.3B": (
        SCALING_CACHE,
        (
            Published(FEWER, 2.5, 14.50),
            Published(TEACACHE, 2.0, 22.57),
            Published(TAYLOR, 1.9, 13.52),
            Published("EasyCache", 2.5, 25.24),
            Published("ScalingCache", 2.5, 26.61),
        ),
    ),
    "Wan 2.1 14B": (
        SCALING_CACHE,
        (
            Published(FEWER, 2.0, 15.82),
            Published(TEACACHE, 1.5, 18.60),
            Published("MixCache", 1.8, 23.45),
            Published("ScalingCache", 2.5, 25.63),
        ),
    ),
    "HunyuanVideo": (
        SCALING_CACHE,
        (
            Published(FEWER, 2.0, 17.57),
            Published(TEACACHE, 1.5, 23.85),
            Published("MixCache", 1.8, 26.86),
            Published(TAYLOR, 2.8, 26.57),
            Published("EasyCache", 2.2, 29.20),
            Published("ScalingCache", 2.2, 30.80),
        ),
    ),
    "Wan 2.1 1.3B (MagCache)": (
        MAG_CACHE,
        (
            Published(TEACACHE, 1.59, 23.35),
            Published(TEACACHE, 2.14, 18.14),
            Published(MAG, 2.14, 23.42),
            Published(MAG, 2.68, 21.54),
        ),
    ),
    "HunyuanVideo (MagCache)": (
        MAG_CACHE,
        (
            Published(TEACACHE, 1.63, 23.87),
            Published(TEACACHE, 2.26, 23.38),
            Published(MAG, 2.25, 34.51),
        ),
    ),
}
"""TeaCache's figures in the two sources differ for the same model: other sizes, prompts, shifts."""


@dataclass(frozen=True)
class Pair:
    """Two methods that a published table orders at equal cost.

    Attributes:
        table: its name.
        better, worse: its lines.
        difference_db: of the better less the worse, here, at the better's speedup; one a prompt.
    """

    table: str
    better: Published
    worse: Published
    difference_db: np.ndarray

    @property
    def agrees(self) -> bool:
        """Whether the better one is the better one here, too."""
        return float(np.nanmean(self.difference_db)) > 0

    def __str__(self) -> str:
        published = self.better.psnr_db - self.worse.psnr_db
        found = float(np.nanmean(self.difference_db))
        return (
            f"{self.table}: {self.better.method} at {self.better.speedup:g}x above "
            f"{self.worse.method} at {self.worse.speedup:g}x: {published:+.1f} dB published, "
            f"{found:+.1f} here at {self.better.speedup:g}x: "
            f"{'as published' if self.agrees else 'the other way round'}"
        )


def here(rows: list[Row], method: str, speedup: float) -> np.ndarray:
    """PSNR on the pair at a speedup, one a prompt; NaN where no setting is as fast."""
    if not any(r["family"] == method for r in rows):
        return np.array([np.nan])
    return at_share(rows, method, 1 - 1 / speedup)


def ordered(one: Published, other: Published) -> tuple[Published, Published] | None:
    """The better and the worse one at equal cost; None: the table does not say."""
    better, worse = sorted((one, other), key=lambda line: -line.psnr_db)
    apart = better.psnr_db - worse.psnr_db >= LEAST_DB
    as_fast = better.speedup >= worse.speedup * (1 - SLACK)
    return (better, worse) if one.method != other.method and apart and as_fast else None


def pairs(rows: list[Row]) -> Iterator[Pair]:
    """All that the tables order, and that can be measured here."""
    for name, (_, lines) in TABLES.items():
        for one, other in combinations(lines, 2):
            if (order := ordered(one, other)) is None:
                continue
            better, worse = order
            ours, theirs = (here(rows, each.method, better.speedup) for each in order)
            if not np.isnan(ours - theirs).all():
                yield Pair(name, better, worse, ours - theirs)


def tau(found: Sequence[Pair], draw: np.ndarray | None = None) -> float:
    """Kendall's tau; of drawn prompts, or of all."""
    differences = [
        each.difference_db if draw is None else each.difference_db[draw] for each in found
    ]
    return float(np.mean([np.sign(np.nanmean(each)) for each in differences]))


def tau_interval(found: Sequence[Pair]) -> tuple[float, float, float]:
    """Tau, and its 95% bootstrap interval over prompts."""
    prompts = len(found[0].difference_db)
    rng = np.random.default_rng(0)
    draws = [tau(found, rng.integers(0, prompts, prompts)) for _ in range(BOOTSTRAPS // 4)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return tau(found), float(low), float(high)


def best_tau(found: Sequence[Pair]) -> float:
    """The most that one order of the methods could reach."""
    methods = {each.better.method for each in found} | {each.worse.method for each in found}
    return max(
        float(
            np.mean(
                [
                    1 if order.index(each.better.method) < order.index(each.worse.method) else -1
                    for each in found
                ]
            )
        )
        for order in permutations(sorted(methods))
    )


def not_compared() -> list[str]:
    """Methods that the published tables have, and this pair has not; and the other way round."""
    missing = [
        f"{name}: {line.method} at {line.speedup:g}x: not in diffusers"
        for name, (_, lines) in TABLES.items()
        for line in lines
        if line.method in NOT_HERE
    ]
    return [*missing, "SeaCache, FirstBlockCache: in none of these tables"]


def results(rows: list[Row]) -> Row:
    """Everything, as JSON.

    Raises:
        ConflictError: no pair was measured.
    """
    found = [*pairs(rows)]
    if not found:
        raise ConflictError("caches.json has no two methods that a published table orders")
    by_table = {name: [each for each in found if each.table == name] for name in TABLES}
    return {
        "tau": tau_interval(found),
        "best_tau": best_tau(found),
        "of_each_table": {name: tau(each) for name, each in by_table.items() if each},
        "pairs": [str(each) for each in found],
        "not_compared": not_compared(),
        "tables": {name: _lines(rows, name) for name in TABLES},
    }


def _lines(rows: list[Row], name: str) -> Row:
    source, lines = TABLES[name]
    return {
        "source": source,
        "lines": [{**asdict(line), "here_db": _mean(rows, line)} for line in lines],
    }


def _mean(rows: list[Row], line: Published) -> float | None:
    values = here(rows, line.method, line.speedup)
    return None if np.isnan(values).all() else float(np.nanmean(values))


def show(content: Row) -> None:
    """Print every line of every table, the pairs, and tau."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    table = Table(title="PSNR to the bare run, dB, at the published speedup")
    for heading in ("table", "method", "speedup", "published", "here"):
        table.add_column(heading)
    for name, lines in content["tables"].items():
        for line in lines["lines"]:
            found = line["here_db"]
            shown = "" if found is None else f"{found:.1f}"
            table.add_row(
                name, line["method"], f"{line['speedup']:g}x", f"{line['psnr_db']:.1f}", shown
            )
    console.print(table)
    for text in content["pairs"]:
        console.print(text, highlight=False)
    for text in content["not_compared"]:
        console.print(f"not compared: {text}", highlight=False)
    middle, low, high = content["tau"]
    count, best = len(content["pairs"]), content["best_tau"]
    console.print(
        f"tau {middle:.2f} ({low:.2f} to {high:.2f}), {count} pairs; one order of the methods "
        f"could reach {best:.2f}"
    )


def main() -> None:
    """Compare, print, and write ranking.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caches", type=Path, default=DEFAULT.with_name("caches.json"))
    parser.add_argument("--out", type=Path, default=Path("runs/ranking"))
    arguments = parser.parse_args()
    caches = json.loads(arguments.caches.read_text("utf-8"))
    about = {key: caches[key] for key in ("weights", "versions", "prompts", "steps")}
    content = {**about, **results(caches["rows"])}
    show(content)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "ranking.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    start(main)
