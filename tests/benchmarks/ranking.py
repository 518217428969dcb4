"""Does the demo pair rank caches as large models do? Kendall's tau with the published orders.

    python tests/benchmarks/caches.py --prompts 32 --out docs/assets/benchmarks
    python tests/benchmarks/ranking.py --out docs/assets/benchmarks

A published table says what some methods keep of the bare run (PSNR) at a speedup each. Here every
method that exists on both sides is read off `caches.json` at its published speedup: PSNR between
the two nearest settings, prompt by prompt; speedup is that of the blocks that ran. A pair of
methods agrees if both sides put the same one first. Tau is the share of pairs that agree less that
of those that do not, over all tables; its interval is a bootstrap over prompts. Pairs of one
method, and published differences below half a decibel, say nothing of an order, and are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
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

LEAST_DB = 0.5
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


def here(rows: list[dict[str, Any]], line: Published) -> np.ndarray:
    """PSNR on the pair at a published speedup, one a prompt; NaN where no setting is as fast."""
    if not any(r["family"] == line.method for r in rows):
        return np.array([np.nan])
    return at_share(rows, line.method, 1 - 1 / line.speedup)


def measured(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The tables' lines, each with what was measured of it here."""
    return {
        name: [
            {
                "method": line.method,
                "speedup": line.speedup,
                "published_psnr_db": line.psnr_db,
                "of_each_prompt": here(rows, line),
            }
            for line in lines
        ]
        for name, (_, lines) in TABLES.items()
    }


def pairs(
    tables: dict[str, list[dict[str, Any]]],
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What can be compared: both measured here, other methods, a published order."""
    for name, lines in tables.items():
        known = [line for line in lines if not np.isnan(line["of_each_prompt"]).all()]
        for one, other in combinations(known, 2):
            apart = abs(one["published_psnr_db"] - other["published_psnr_db"]) >= LEAST_DB
            if one["method"] != other["method"] and apart:
                yield name, one, other


def tau(tables: dict[str, list[dict[str, Any]]], draw: np.ndarray | None = None) -> float:
    """Kendall's tau over all pairs; of drawn prompts, or of all."""
    signs = []
    for _, one, other in pairs(tables):
        published = one["published_psnr_db"] - other["published_psnr_db"]
        values = one["of_each_prompt"] - other["of_each_prompt"]
        chosen = values if draw is None else values[draw]
        signs.append(np.sign(published) * np.sign(np.nanmean(chosen)))
    return float(np.mean(signs)) if signs else float("nan")


def tau_interval(tables: dict[str, list[dict[str, Any]]]) -> tuple[float, float, float]:
    """Tau, and its 95% bootstrap interval over prompts."""
    prompts = max(len(line["of_each_prompt"]) for lines in tables.values() for line in lines)
    rng = np.random.default_rng(0)
    draws = [tau(tables, rng.integers(0, prompts, prompts)) for _ in range(BOOTSTRAPS // 4)]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return tau(tables), float(low), float(high)


def not_compared(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What the published tables have, and this pair has not; and the other way round."""
    missing = [
        f"{name}: {line['method']} at {line['speedup']:g}x: "
        + (
            "not in diffusers"
            if line["method"] in NOT_HERE
            else "not measured here at this speedup"
        )
        for name, lines in tables.items()
        for line in lines
        if np.isnan(line["of_each_prompt"]).all()
    ]
    return [*missing, "SeaCache, FirstBlockCache: in none of these tables"]


def show(content: dict[str, Any]) -> None:
    """Print every line of every table, the pairs, and tau."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    table = Table(title="PSNR to the bare run, dB, at the published speedup")
    for heading in ("table", "method", "speedup", "published", "here"):
        table.add_column(heading)
    for name, lines in content["tables"].items():
        for line in lines["lines"]:
            found = line["psnr_db"]
            shown = "" if found is None else f"{found:.1f}"
            published = f"{line['published_psnr_db']:.1f}"
            table.add_row(name, line["method"], f"{line['speedup']:g}x", published, shown)
    console.print(table)
    for text in content["pairs"]:
        console.print(text, highlight=False)
    for text in content["not_compared"]:
        console.print(f"not compared: {text}", highlight=False)
    middle, low, high = content["tau"]
    console.print(f"tau {middle:.2f} ({low:.2f} to {high:.2f}), {len(content['pairs'])} pairs")


def results(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything, as JSON."""
    tables = measured(rows)
    return {
        "tau": tau_interval(tables),
        "of_each_table": {
            name: tau({name: lines}) for name, lines in tables.items() if [*pairs({name: lines})]
        },
        "pairs": [_pair_text(*pair) for pair in pairs(tables)],
        "not_compared": not_compared(tables),
        "tables": {
            name: {"source": TABLES[name][0], "lines": [_with_mean(line) for line in lines]}
            for name, lines in tables.items()
        },
    }


def _pair_text(name: str, one: dict[str, Any], other: dict[str, Any]) -> str:
    difference = float(np.nanmean(one["of_each_prompt"] - other["of_each_prompt"]))
    published = one["published_psnr_db"] - other["published_psnr_db"]
    agrees = "as published" if difference * published > 0 else "the other way round"
    names = " less ".join(f"{line['method']} at {line['speedup']:g}x" for line in (one, other))
    return f"{name}: {names}: {published:+.1f} dB published, {difference:+.1f} here: {agrees}"


def _with_mean(line: dict[str, Any]) -> dict[str, Any]:
    values = line["of_each_prompt"]
    known = values[~np.isnan(values)]
    mean = float(known.mean()) if len(known) else None
    return {**{k: v for k, v in line.items() if k != "of_each_prompt"}, "psnr_db": mean}


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
