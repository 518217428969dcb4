"""Rules, predictors and placed steps beside the caches of other packages, by speed and quality.

    python tests/benchmarks/front.py --choose
    python tests/benchmarks/front.py --prompts 48 --shard 0/2 &
    python tests/benchmarks/front.py --prompts 48 --shard 1/2
    python tests/benchmarks/front.py --show

One video at a time, bare and under every setting in random order, in one process. `--choose` tries
many settings on training captions and writes which of each family is the best that reaches three,
four and ten times the bare speed (`front-chosen.json`); the next two measure these on held-out
captions, beside rivals that need no cache, and `--show` writes figures and picture of the prompts
that are there. The same command goes on after an interrupt. Beside sraccel it needs its
plugin `sraccel-caches`, and cache-dit for two of the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from front_figures import draw, rows_of, said, show, verdict
from front_runs import APART, Prompt, counted, measure, units_of
from front_settings import (
    AT_OWN,
    BARE,
    FAST,
    OWN,
    PEERS,
    REACHES,
    STACK,
    TARGETS,
    Setting,
    cache_dit_is_installed,
    candidates,
    references,
    rivals,
    stacks,
)
from points import Journal, Shard, checksums, load_pair, of_all_shards, package_versions, start

from sraccel.demo.shapes import held_out_scenes, training_scenes

ASSETS = Path(__file__).parents[2] / "docs" / "assets" / "benchmarks"
CHOSEN = "front-chosen.json"
CHOOSING_SEED, SEED = 15, 94_000
FIRST_PROMPT = 100
"""Of the held-out captions: other benchmarks report on earlier ones."""
CHOOSING_PROMPTS, STACK_PROMPTS = 2, 12
"""Scores need more prompts than decibels; a stack is cheap."""
SOME_PROMPTS, FOLLOWED_PROMPTS = 16, 12
"""What did not lead where settings were chosen, and plain steps at each method's own positions, are
run on the first prompts only: all of them on all prompts would double the cost."""


def choose(pipes: Any, work: Path, journal: Journal, out: Path, stack_prompts: int) -> None:
    """Try all candidates on training captions, and write what each family is best at."""
    ratios = json.loads((ASSETS / "caches.json").read_text("utf-8"))["mag_ratios"]
    scenes = training_scenes(stack_prompts, CHOOSING_SEED)
    prompts = [Prompt(i, CHOOSING_SEED * 1000 + i, scene.caption) for i, scene in enumerate(scenes)]
    tried = [s.on(CHOOSING_PROMPTS) for s in (*references(), *candidates(ratios))]
    measure(pipes, [*tried, *stacks()], prompts, work, journal)
    units = units_of(journal.entries)
    bare_cost = next(counted(e, units) for e in journal.entries if e["setting"] == BARE)
    table = [
        _tried(setting, journal.entries, bare_cost, units)
        for setting in (*candidates(ratios), *stacks())
    ]
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "prompts": [prompt.caption for prompt in prompts],
        "prompts_of_caches": CHOOSING_PROMPTS,
        "units": units,
        "chosen": {
            **{f"{t:g}": _best(table, (*PEERS, *OWN), t, "psnr_db") for t in TARGETS},
            f"{FAST:g}": _best(table, (STACK,), FAST, "score"),
        },
        "tried": [{k: v for k, v in row.items() if k != "spec"} for row in table],
    }
    out.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    for row in table:
        print(f"{row['name']}: {row['speedup']:.2f}x {row['psnr_db']:.1f} dB {row['score']:.1%}")


def _tried(setting: Setting, lines: list[Any], bare: float, units: Any) -> dict[str, Any]:
    own = [line for line in lines if line["setting"] == setting.name]
    mean = {}
    for key in ("psnr_db", "score"):
        values = [line[key] for line in own if line[key] is not None]
        mean[key] = sum(values) / len(values)
    speedup = bare * len(own) / sum(counted(line, units) for line in own)
    named = {"family": setting.family, "label": setting.label, "name": setting.name}
    return {**named, "spec": setting.spec, "speedup": speedup, **mean}


def _best(table: list[Any], families: Any, target: float, measure: str) -> dict[str, Any]:
    """By family, the best that reaches a speedup; none where none does."""
    found = {}
    for family in families:
        fits = [r for r in table if r["family"] == family and r["speedup"] >= target * REACHES]
        if fits:
            best = max(fits, key=lambda row: (round(row[measure], 3), row["psnr_db"]))
            found[family] = {key: best[key] for key in ("label", "spec", "speedup", "psnr_db")}
    return found


def settings(chosen: dict[str, Any]) -> list[Setting]:
    """What is reported: bare, rivals, what was chosen, and plain steps where that computed."""
    found: dict[str, Setting] = {}
    for by_family in chosen["chosen"].values():
        leading = _leading(by_family, PEERS) | _leading(by_family, OWN) | {STACK}
        for family, one in by_family.items():
            setting = Setting(family, one["label"], one["spec"])
            if family not in leading:
                setting = setting.on(SOME_PROMPTS)
            if "cache_dit" not in one["spec"] or cache_dit_is_installed():
                found.setdefault(setting.name, setting)
    caches = [s for s in found.values() if s.family != STACK]
    followers = [Setting(AT_OWN, s.name, {"follows": s.name}).on(FOLLOWED_PROMPTS) for s in caches]
    return [*references(), *rivals(), *found.values(), *followers]


def _leading(by_family: dict[str, Any], families: tuple[str, ...]) -> set[str]:
    """The two best of some families, on the choosing prompts."""
    known = [family for family in families if family in by_family]
    return set(sorted(known, key=lambda family: -by_family[family]["psnr_db"])[:2])


def prompts_of(number: int, shard: Shard) -> list[Prompt]:
    """A shard's part of those reported."""
    scenes = held_out_scenes(FIRST_PROMPT + number)[FIRST_PROMPT:]
    prompts = [Prompt(i, SEED + i, scene.caption) for i, scene in enumerate(scenes)]
    return prompts[shard.index :: shard.count]


def load(shift: float | None) -> dict[str, Any]:
    """The pair's pipelines, at their own flow shift or another."""
    pipes: dict[str, Any] = load_pair()
    if cache_dit_is_installed():
        pipes[APART] = load_pair()["transformer"]
    if shift is not None:
        for pipe in pipes.values():
            scheduler = pipe.scheduler
            pipe.scheduler = type(scheduler).from_config(scheduler.config, flow_shift=shift)
    return pipes


def header(pipes: Any, shift: float | None) -> dict[str, Any]:
    """What runs must share to be compared."""
    weights = checksums({role: pipes[role].transformer for role in ("transformer", "render")})
    return {"weights": weights, "shift": shift, "versions": package_versions()}


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--choose", action="store_true", help="choose settings, report nothing")
    parser.add_argument("--show", action="store_true", help="write the figures of what is there")
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--shard", type=Shard.parse, default=Shard(), help="0/2 and 1/2, say")
    parser.add_argument("--stack-prompts", type=int, default=STACK_PROMPTS, help="with --choose")
    parser.add_argument("--shift", type=float, help="another flow shift than the pair's own")
    parser.add_argument("--chosen", type=Path, default=ASSETS / CHOSEN)
    parser.add_argument("--work", type=Path, default=Path("runs/front"))
    parser.add_argument("--out", type=Path, default=ASSETS)
    return parser.parse_args()


def publish(lines: list[Any], chosen: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print; write the figures and the picture."""
    rows = rows_of(settings(chosen), lines)
    verdicts = verdict(rows)
    name = "front" if arguments.shift is None else f"front-shift-{arguments.shift:g}"
    show(rows)
    print(said(verdicts))
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": package_versions(),
        "shift": arguments.shift,
        "prompts": max(len(row["of_each_prompt"]) for row in rows),
        "units": units_of(lines),
        "verdict": verdicts,
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    draw(rows, arguments.out / f"{name}.png")


def main() -> None:
    """Choose, measure, or show."""
    arguments = options()
    torch.set_num_threads(1)
    pipes = load(arguments.shift)
    fixed = header(pipes, arguments.shift)
    if arguments.choose:
        work = arguments.work / "choosing"
        work.mkdir(parents=True, exist_ok=True)
        journal = Journal(work / "runs.jsonl", fixed)
        choose(pipes, work, journal, arguments.chosen, arguments.stack_prompts)
        return
    chosen = json.loads(arguments.chosen.read_text("utf-8"))
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.show:
        journal = Journal(arguments.work / arguments.shard.journal("runs"), fixed)
        mine = prompts_of(arguments.prompts, arguments.shard)
        measure(pipes, settings(chosen), mine, arguments.work, journal)
    if arguments.shard.count == 1:
        publish(of_all_shards(arguments.work, "runs", fixed), chosen, arguments)


if __name__ == "__main__":
    start(main)
