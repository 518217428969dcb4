"""Where SRDiffusion switches beside a cache, rule by rule, against its switch without the cache.

Records the sketch model's guided predictions, bare and under TeaCache, with no switch at all, and
replays every rule on them. Up to its switch a run is the recorded one, so that this is exactly what
the rule would have done. A finished recording lies in `--work`; the same command goes on from there
(begin with an empty folder when the demo pair or TeaCache has changed).

    python tests/benchmarks/switch_beside_cache.py --out docs/assets/benchmarks
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from semantic import batches

import sraccel
from sraccel.accelerators.srdiffusion.switching import PaperRule, PerStepRule
from sraccel.files import replacing
from sraccel.plugin import Accelerator, AcceleratorOptions, Run, Step, hookimpl, rel_l1_distance
from sraccel.testing import load_demo_pipeline

THRESHOLDS = (0.01, 0.02)
CACHES = (0.05, 0.1, 0.2)
NEAR = 2


class Recorder(Accelerator):
    """Keeps the guided predictions of the last run, and which steps were computed."""

    name = "recorder"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.predictions: list[torch.Tensor] = []
        self.computed: list[bool] = []

    @hookimpl
    def run_started(self, run: Run) -> None:
        self.predictions, self.computed = [], []

    @hookimpl
    def step_finished(self, step: Step) -> None:
        assert step.noise_pred is not None
        self.predictions.append(step.noise_pred.float().clone())
        self.computed.append(step.computed)


@dataclass
class Recording:
    """One run without a switch.

    Attributes:
        d: D of step i against step j, for all j < i.
        computed: whether step i was computed.
    """

    d: np.ndarray
    computed: np.ndarray

    def spans(self) -> Iterator[tuple[int, int, float]]:
        """Every computed step but the first, the steps since the last one, and D between them."""
        steps = np.flatnonzero(self.computed).tolist()
        for before, step in itertools.pairwise(steps):
            yield step, step - before, float(self.d[step, before])


Rule = Callable[[Recording, float], int]
"""Recording and threshold to the first render step; the run's length if there is none."""


def every_step(recording: Recording, threshold: float) -> int:
    """The paper's rule, on every step."""
    rule, steps = PaperRule(threshold), len(recording.d)
    for i in range(1, steps):
        if rule.hit(float(recording.d[i, i - 1])):
            return i + 1
    return steps


def computed_only(recording: Recording, threshold: float) -> int:
    """The paper's rule, on D between computed steps."""
    rule = PaperRule(threshold)
    for step, _, d in recording.spans():
        if rule.hit(d):
            return step + 1
    return len(recording.d)


def per_step(recording: Recording, threshold: float) -> int:
    """The rule `per_step`; its last answer holds at skipped steps."""
    rule = PerStepRule(threshold)
    for step, gap, d in recording.spans():
        if rule.hit(d, gap, step):
            return step + 1
    return len(recording.d)


RULES: dict[str, Rule] = {
    "paper, on every step (`rule: paper`)": every_step,
    "paper, on computed steps": computed_only,
    "`rule: per_step`, which `auto` takes after the first skip": per_step,
}
ONE_FOR_ALL = "the uncached median for every prompt"


def record(pipe: Any, scenes: Any, seeds: list[int], cache: float, steps: int) -> Recording:
    """One run of the sketch model, bare (`cache` 0) or under TeaCache."""
    teacache = [{"use": "teacache", "threshold": cache}] if cache else []
    with torch.no_grad(), sraccel.compose(pipe, [Recorder.Options(), *teacache]) as stack:
        pipe(
            prompt=[scene.caption for scene in scenes],
            num_inference_steps=steps,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="latent",
        )
    recorder = stack.accelerators[0]
    assert isinstance(recorder, Recorder)
    d = np.zeros((steps, steps))
    for i, j in itertools.combinations(range(steps), 2):
        d[j, i] = float(rel_l1_distance(recorder.predictions[j], recorder.predictions[i]))
    return Recording(d, np.array(recorder.computed))


def recordings(pipe: Any, prompts: int, steps: int, folder: Path) -> dict[float, list[Recording]]:
    """One a prompt, by TeaCache threshold (0: bare); made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[float, list[Recording]] = {}
    work = [(*batch, cache) for batch in batches(prompts, 1) for cache in (0.0, *CACHES)]
    for scenes, seeds, cache in track(work, "recordings", console=Console(stderr=True)):
        path = folder / f"{seeds[0]:03d}-{cache}-{steps}.npz"
        if not path.exists():
            made = record(pipe, scenes, seeds, cache, steps)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, d=made.d, computed=made.computed)
        with np.load(path) as kept:
            found.setdefault(cache, []).append(Recording(kept["d"], kept["computed"]))
    return found


def summary(switches: np.ndarray, bare: np.ndarray, steps: int) -> dict[str, float]:
    """Share near the uncached switch, mean deviations, share that never switches."""
    deviation = switches - bare
    return {
        "within_2": round(float(np.mean(abs(deviation) <= NEAR)), 4),
        "mean_absolute": round(float(np.mean(abs(deviation))), 4),
        "mean_signed": round(float(np.mean(deviation)), 4),
        "never": round(float(np.mean(switches >= steps)), 4),
    }


def replayed(found: dict[float, list[Recording]], steps: int) -> list[dict[str, Any]]:
    """The figures of every rule under every cache at every threshold."""
    rows = []
    for cache, threshold in itertools.product(CACHES, THRESHOLDS):
        bare = np.array([every_step(run, threshold) for run in found[0.0]])
        switches = {
            name: np.array([rule(run, threshold) for run in found[cache]])
            for name, rule in RULES.items()
        }
        switches[ONE_FOR_ALL] = np.full(len(bare), round(float(np.median(bare))))
        where = {
            "teacache": cache,
            "skipped": round(float(np.mean([~run.computed for run in found[cache]])), 4),
            "threshold": threshold,
            "uncached": [int(step) for step in np.quantile(bare, [0, 0.5, 1])],
        }
        rows += [
            {**where, "rule": name, **summary(steps_of, bare, steps)}
            for name, steps_of in switches.items()
        ]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print a line a row."""
    table = Table(title=f"switches beside TeaCache, against those without: within {NEAR} steps")
    for heading in ("TeaCache", "skipped", "threshold", "uncached: first, median, last", "rule"):
        table.add_column(heading)
    for heading in (f"within {NEAR}", "mean deviation", "signed", "never"):
        table.add_column(heading, justify="right")
    for r in rows:
        table.add_row(
            f"{r['teacache']}",
            f"{r['skipped']:.0%}",
            f"{r['threshold']}",
            ", ".join(map(str, r["uncached"])),
            r["rule"],
            f"{r['within_2']:.0%}",
            f"{r['mean_absolute']:.2f}",
            f"{r['mean_signed']:+.2f}",
            f"{r['never']:.0%}",
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def main() -> None:
    """Record, replay, print, and write switch_beside_cache.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=48, help="held-out ones")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--work", type=Path, default=Path("runs/switch_beside_cache"))
    parser.add_argument("--out", type=Path, default=Path("runs/switch_beside_cache"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    found = recordings(pipe, arguments.prompts, arguments.steps, arguments.work)
    rows = replayed(found, arguments.steps)
    show(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with replacing(arguments.out / "switch_beside_cache.json") as temporary:
        content = {"prompts": arguments.prompts, "steps": arguments.steps, "rules": rows}
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
