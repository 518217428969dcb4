"""Where SRDiffusion switches under a cache, rule by rule, against the switch without the cache.

Three parts; what is finished lies in `--work`, prompt by prompt, so that a second start goes on
(begin with an empty one when the demo pair or TeaCache has changed):

1. record: the sketch model's guided predictions, bare and under TeaCache, with no switch at all;
2. replay: every rule on every recording. Up to its switch a run is the recorded one, so that this
   is exactly what the rule would have done. Rules are compared on one set of prompts (`--choose`)
   and confirmed on another (`--confirm`);
3. run: bare and accelerated videos of the confirming prompts, for speed and semantic score.

    python tests/benchmarks/switching.py --out docs/assets/benchmarks
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from semantic import Outcome, batches, paired_interval, run_batch

import sraccel
from sraccel.accelerators.srdiffusion.switching import PaperRule, PerStepRule
from sraccel.files import replacing
from sraccel.plugin import Accelerator, AcceleratorOptions, Run, Step, hookimpl, rel_l1_distance
from sraccel.testing import load_demo_pipeline

THRESHOLDS = (0.005, 0.01, 0.02)
CACHES = (0.05, 0.1, 0.15, 0.2)
MAIN = ((0.05, 0.01), (0.05, 0.02), (0.1, 0.01), (0.1, 0.02))
"""(TeaCache threshold, SRDiffusion threshold) that the rule was chosen by."""
MEASURED = ((0.05, 0.01), (0.1, 0.01))
NEAR = 2
CHOSEN = "+ root of distance, continued, rise: `per_step`"
MIN_STEPS = (0, 24)
"""None, and the demo recipe's."""
WAITING = "start: after_switch"


class Recorder(Accelerator):
    """Keeps the guided predictions of the last run, and which steps were computed."""

    name = "recorder"
    last: Recorder

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        Recorder.last = self

    @hookimpl
    def run_started(self, run: Run) -> None:
        self.predictions: list[torch.Tensor] = []
        self.computed: list[bool] = []

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


class Watch(Protocol):
    """A rule between computed steps."""

    def hit(self, d: float, gap: int, step_index: int) -> bool: ...


@dataclass
class Candidate:
    """D between computed steps, per step, and what one may add to it.

    Attributes:
        weight: of the newest D in an exponential mean; 1 does not smooth.
        hits: how many in a row it takes.
        power: the threshold grows with this power of the distance.
        median: of how many D the median is taken.
        continued: whether the fall is continued to the last step.
    """

    threshold: float
    weight: float = 1.0
    hits: int = 1
    power: float = 0.0
    median: int = 1
    continued: bool = False
    _rates: list[float] = field(default_factory=list)
    _last: tuple[float, float] | None = None
    _in_a_row: int = 0

    def hit(self, d: float, gap: int, step_index: int) -> bool:
        midpoint, before = step_index - gap / 2, self._last
        self._rates.append(d / gap)
        rate = statistics.median(self._rates[-self.median :])
        if before is not None:
            rate = self.weight * rate + (1 - self.weight) * before[1]
        self._last = midpoint, rate
        if before is None:
            return False
        distance = midpoint - before[0]
        fall = (before[1] - rate) / distance
        if self.continued and fall > 0:
            age = step_index - 1 - (before[0] + midpoint) / 2
            fall *= (rate / before[1]) ** (age / distance)
        near = 0 < fall < self.threshold * distance**self.power
        self._in_a_row = self._in_a_row + 1 if near else 0
        return self._in_a_row >= self.hits


Rule = Callable[[Recording, float, int], int]
"""Recording, threshold and `min_step` to the first render step; the run's length if there is none.
"""


def raw(recording: Recording, threshold: float, min_step: int) -> int:
    """The paper's rule, on every step."""
    rule, steps = PaperRule(threshold), len(recording.d)
    for i in range(1, steps):
        if (
            rule.hit(
                float(recording.d[i, i - 1]),
            )
            and i >= min_step
        ):
            return i + 1
    return steps


def between_computed(make: Callable[[float], Watch], stands: bool = False) -> Rule:
    """A rule that looks at computed steps; `stands`: its last answer holds at skipped ones."""

    def rule(recording: Recording, threshold: float, min_step: int) -> int:
        watch, steps, answer = make(threshold), len(recording.d), False
        spans = {step: (gap, d) for step, gap, d in recording.spans()}
        for i in range(steps):
            if i in spans:
                gap, d = spans[i]
                answer = watch.hit(d, gap, i)
            if answer and i >= min_step and (stands or i in spans):
                return i + 1
        return steps

    return rule


def forecast(recording: Recording, threshold: float, min_step: int) -> int:
    """As the chosen rule, but the fall is continued through skipped steps and may end there."""
    spans = {step: (gap, d) for step, gap, d in recording.spans()}
    before: tuple[float, float] | None = None
    fall, ratio, window = math.inf, 1.0, 0.0
    for i in range(len(recording.d)):
        if i in spans:
            gap, d = spans[i]
            midpoint, rate = i - gap / 2, d / gap
            if before is not None:
                distance = midpoint - before[0]
                fall, ratio = (before[1] - rate) / distance, 1.0
                window = threshold * math.sqrt(distance)
                if fall > 0:
                    ratio = (rate / before[1]) ** (1 / distance)
                    fall *= ratio ** (i - 1 - (before[0] + midpoint) / 2)
            before = midpoint, rate
        else:
            fall *= ratio
        if 0 < fall < window and i >= min_step:
            return i + 1
    return len(recording.d)


RULES: dict[str, Rule] = {
    "raw: the paper's, on every step": raw,
    "per step, computed steps only": between_computed(Candidate),
    "+ mean 0.5, two hits (before)": between_computed(lambda t: Candidate(t, 0.5, 2)),
    "+ mean 0.5, one hit": between_computed(lambda t: Candidate(t, 0.5)),
    "+ two hits": between_computed(lambda t: Candidate(t, hits=2)),
    "+ median of three": between_computed(lambda t: Candidate(t, median=3)),
    "+ twice the threshold": between_computed(lambda t: Candidate(2 * t)),
    "+ distance": between_computed(lambda t: Candidate(t, power=1)),
    "+ root of distance": between_computed(lambda t: Candidate(t, power=0.5)),
    "+ fall continued": between_computed(lambda t: Candidate(t, continued=True)),
    "+ distance, continued": between_computed(lambda t: Candidate(t, power=1, continued=True)),
    "+ root of distance, continued": between_computed(
        lambda t: Candidate(t, power=0.5, continued=True)
    ),
    "+ the same, and through skipped steps": forecast,
    CHOSEN: between_computed(PerStepRule, stands=True),
}


def record(pipe: Any, scenes: Any, seeds: list[int], cache: float, steps: int) -> Recording:
    """One run of the sketch model, bare (`cache` 0) or under TeaCache."""
    teacache = [{"use": "teacache", "threshold": cache}] if cache else []
    with sraccel.compose(pipe, [Recorder.Options(), *teacache]):
        pipe(
            prompt=[scene.caption for scene in scenes],
            num_inference_steps=steps,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="latent",
        )
    predictions = Recorder.last.predictions
    d = np.zeros((steps, steps))
    for i in range(steps):
        for j in range(i):
            d[i, j] = float(rel_l1_distance(predictions[i], predictions[j]))
    return Recording(d, np.array(Recorder.last.computed))


def recordings(
    pipe: Any, prompts: int, steps: int, folder: Path
) -> dict[tuple[int, float], Recording]:
    """All recordings, by prompt and TeaCache threshold (0: bare); made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    work = [(*batch, cache) for batch in batches(prompts, 1) for cache in (0.0, *CACHES)]
    for scenes, seeds, cache in track(work, "recordings"):
        path = folder / f"{seeds[0]:03d}-{cache}-{steps}.npz"
        if not path.exists():
            made = record(pipe, scenes, seeds, cache, steps)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, d=made.d, computed=made.computed)
        with np.load(path) as kept:
            found[seeds[0], cache] = Recording(kept["d"], kept["computed"])
    return found


def deviations(
    found: dict[tuple[int, float], Recording],
    prompts: Iterable[int],
    cache: float,
    threshold: float,
    min_step: int = 0,
) -> dict[str, np.ndarray]:
    """By rule, two rows, a prompt each: its switch minus the uncached one, and its switch."""
    bare = np.array([raw(found[k, 0.0], threshold, min_step) for k in prompts])
    switches = {
        name: np.array([rule(found[k, cache], threshold, min_step) for k in prompts])
        for name, rule in RULES.items()
    }
    median = np.full(len(bare), round(float(np.median(bare))))
    switches["one step for all: their uncached median"] = median
    switches[WAITING] = bare
    return {name: np.stack([switch - bare, switch]) for name, switch in switches.items()}


def summary(values: np.ndarray, steps: int) -> dict[str, float]:
    """Share near the uncached switch, mean deviations, share that never switches."""
    deviation, switch = values
    return {
        "within_2": round(float(np.mean(abs(deviation) <= NEAR)), 4),
        "mean_absolute": round(float(np.mean(abs(deviation))), 4),
        "mean_signed": round(float(np.mean(deviation)), 4),
        "never": round(float(np.mean(switch >= steps)), 4),
    }


def replay(
    found: dict[tuple[int, float], Recording], sets: dict[str, range], steps: int
) -> list[dict[str, Any]]:
    """The figures of every rule, set of prompts, cache, threshold and `min_step`."""
    rows = []
    for name, prompts in sets.items():
        for cache in CACHES:
            for threshold in THRESHOLDS:
                for min_step in MIN_STEPS:
                    every = deviations(found, prompts, cache, threshold, min_step)
                    where = {"set": name, "prompts": len(prompts), "teacache": cache}
                    where |= {"threshold": threshold, "min_step": min_step}
                    rows += [
                        {**where, "rule": rule, **summary(values, steps)}
                        for rule, values in every.items()
                    ]
    return rows


def uncached(
    found: dict[tuple[int, float], Recording], sets: dict[str, range], steps: int
) -> list[dict[str, Any]]:
    """Where the paper's rule switches without a cache."""
    rows = []
    for name, prompts in sets.items():
        for threshold in THRESHOLDS:
            switches = [raw(found[k, 0.0], threshold, 0) for k in prompts]
            low, middle, high = np.quantile(switches, [0, 0.5, 1]).tolist()
            never = sum(switch >= steps for switch in switches)
            rows.append({"set": name, "threshold": threshold, "never": never})
            rows[-1] |= {"first": low, "median": middle, "last": high}
    return rows


def skipped(found: dict[tuple[int, float], Recording]) -> dict[float, float]:
    """Share of skipped steps of a whole run, by TeaCache threshold."""
    return {
        cache: float(np.mean([~r.computed for (_, c), r in found.items() if c == cache]))
        for cache in CACHES
    }


def overall(rows: list[dict[str, Any]], **where: Any) -> dict[str, dict[str, float]]:
    """Means over the thresholds that the rule was chosen by, rule by rule."""
    result: dict[str, list[dict[str, Any]]] = {}
    for r in rows:
        if (r["teacache"], r["threshold"]) in MAIN and where.items() <= r.items():
            result.setdefault(r["rule"], []).append(r)
    keys = ("within_2", "mean_absolute", "mean_signed", "never")
    return {
        rule: {key: statistics.mean(r[key] for r in chosen) for key in keys}
        for rule, chosen in result.items()
    }


def show(rows: list[dict[str, Any]], caption: str, **where: Any) -> None:
    """Print one table: a line a rule, a group of figures a pair of thresholds."""
    print(f"\n{caption}: within {NEAR} steps, mean absolute and signed deviation, never")
    cells = "".join(f"| TeaCache {c}, {t:<5}      " for c, t in MAIN)
    print(f"{'rule':42}{cells}| the four")
    total = overall(rows, **where)
    for rule, mean in total.items():
        chosen = [
            r
            for c, t in MAIN
            for r in rows
            if {**where, "rule": rule, "teacache": c, "threshold": t}.items() <= r.items()
        ]
        print(f"{rule:42}" + "".join(f"| {_figures(r)} " for r in [*chosen, mean]))


def _figures(r: dict[str, float]) -> str:
    middle = f"{r['mean_absolute']:5.2f} {r['mean_signed']:+6.2f}"
    return f"{r['within_2']:5.0%} {middle} {r['never']:4.0%}"


@dataclass
class Setting:
    """What is run for speed and quality: a rule under a cache, `bare`, or SRDiffusion alone."""

    label: str
    recipe: list[dict[str, Any]]
    cache: float = 0.0
    replayed: int | None = None


def settings(found: dict[tuple[int, float], Recording], prompt: int) -> list[Setting]:
    """All settings of one prompt; rules that are no option take their replayed switch as fixed."""
    switch = {"use": "srdiffusion", "render": "demo"}
    chosen = [Setting("bare", []), Setting("SRDiffusion alone", [{**switch, "threshold": 0.01}])]
    for cache, threshold in MEASURED:
        teacache = {"use": "teacache", "threshold": cache}
        waiting = {**teacache, "start": "after_switch"}
        adaptive = {**switch, "threshold": threshold}
        chosen.append(Setting(WAITING, [adaptive, waiting], cache))
        for name in (*tuple(RULES)[:3], CHOSEN):
            at = RULES[name](found[prompt, cache], threshold, 0)
            first = {**switch, "switch_step": at}
            if name == CHOSEN:
                first = adaptive
            elif RULES[name] is raw:
                first = {**adaptive, "rule": "paper"}
            chosen.append(Setting(name, [first, teacache], cache, at))
    return chosen


def run_prompt(
    pipe: Any, scenes: Any, seeds: list[int], every: list[Setting], steps: int
) -> list[dict[str, Any]]:
    """One prompt through settings, in random order, one of them `bare`."""
    rows: list[dict[str, Any]] = []
    for setting in random.Random(seeds[0]).sample(every, len(every)):
        outcome = Outcome()
        run_batch(outcome, pipe, setting.recipe, scenes, seeds, steps)
        rows.append(
            {
                "label": setting.label,
                "teacache": setting.cache,
                "seconds": outcome.seconds[0],
                "score": float(outcome.means()[0]),
                "switch": outcome.switch_steps[0] or steps,
                "replayed": setting.replayed,
                "reused": outcome.reused[0],
            }
        )
    (bare,) = (row["seconds"] for row in rows if row["label"] == "bare")
    return [{**row, "speedup": bare / row["seconds"]} for row in rows]


def runs(
    pipe: Any, found: dict[tuple[int, float], Recording], wanted: range, steps: int, folder: Path
) -> list[list[dict[str, Any]]]:
    """The runs of every prompt; what is missing is made, beside another bare run."""
    folder.mkdir(parents=True, exist_ok=True)
    every = []
    work = [batch for batch in batches(wanted.stop, 1) if batch[1][0] in wanted]
    for scenes, seeds in track(work, "runs"):
        path = folder / f"{seeds[0]:03d}-{steps}.json"
        rows = json.loads(path.read_text()) if path.exists() else []
        done = {(row["label"], row["teacache"]) for row in rows}
        bare, *others = settings(found, seeds[0])
        missing = [item for item in others if (item.label, item.cache) not in done]
        if missing:
            made = run_prompt(pipe, scenes, seeds, [bare, *missing], steps)
            rows += [row for row in made if (row["label"], row["teacache"]) not in done]
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(rows))
        every.append(rows)
    return every


def costs(every: list[list[dict[str, Any]]], steps: int) -> list[dict[str, Any]]:
    """Speedup and score of every setting, paired with the bare run of the same prompt."""
    by_setting: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for prompt in every:
        for row in prompt:
            by_setting.setdefault((row["label"], row["teacache"]), []).append(row)
    scores = {key: np.array([r["score"] for r in chosen]) for key, chosen in by_setting.items()}
    order = list(dict.fromkeys(["bare", "SRDiffusion alone", WAITING, *RULES]))
    rows = []
    for key in sorted(by_setting, key=lambda k: (k[1], order.index(k[0]))):
        chosen = by_setting[key]
        ratios = [r["speedup"] for r in chosen]
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
        waiting = scores.get((WAITING, key[1]), scores["bare", 0.0])
        rows.append(
            {
                "rule": key[0],
                "teacache": key[1],
                "prompts": len(chosen),
                "speedup": middle,
                "speedup_quartiles": [low, high],
                "score": float(scores[key].mean()),
                "difference": paired_interval(scores[key], scores["bare", 0.0]),
                "difference_to_waiting": paired_interval(scores[key], waiting),
                "reused": statistics.mean(r["reused"] for r in chosen),
                "mean_switch": statistics.mean(r["switch"] for r in chosen),
                "never": statistics.mean(r["switch"] >= steps for r in chosen),
                "unlike_replay": sum(r["replayed"] not in (None, r["switch"]) for r in chosen),
            }
        )
    return rows


def show_costs(rows: list[dict[str, Any]]) -> None:
    """Print what each setting costs."""
    print("\nruns (SRDiffusion threshold 0.01): speedup (quartiles), mean switch, never, reused,")
    print("score, difference to bare and to the cache that waits (95% interval), points")
    for r in rows:
        low, high = r["speedup_quartiles"]
        print(
            f"{r['rule']:42} {r['teacache']:<5}{r['speedup']:6.2f}x ({low:.2f} to {high:.2f}) "
            f"{r['mean_switch']:5.1f} {r['never']:4.0%} {r['reused']:4.0%} {r['score']:6.1%} "
            f"{_points(r['difference'])} {_points(r['difference_to_waiting'])} "
            f"{r['unlike_replay']} unlike the replay"
        )


def _points(interval: list[float]) -> str:
    middle, low, high = (100 * value for value in interval)
    return f"{middle:+6.1f} [{low:+6.1f}, {high:+6.1f}]"


def draw(found: dict[tuple[int, float], Recording], prompts: range, path: Path) -> None:
    """Deviation of every prompt, a row a rule, a panel a TeaCache threshold."""
    from matplotlib.figure import Figure

    caches = list(dict.fromkeys(cache for cache, _ in MAIN))
    figure = Figure(figsize=(11, 5.6), layout="constrained", dpi=130)
    panels = figure.subplots(1, len(caches), sharey=True)
    names = list(reversed(RULES))
    for axes, cache in zip(panels, caches, strict=True):
        every = [deviations(found, prompts, cache, t) for c, t in MAIN if c == cache]
        for row, name in enumerate(names):
            values = np.concatenate([by_rule[name][0] for by_rule in every])
            _draw_rule(axes, row, values, "tab:green" if name == CHOSEN else "tab:blue")
        axes.axvspan(-NEAR - 0.5, NEAR + 0.5, color="0.9", zorder=0)
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.set_title(f"TeaCache {cache}", fontsize=10)
        axes.set_xlabel("steps after the switch without a cache")
        axes.set_xlim(-14, 42)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].get_yticklabels()[names.index(CHOSEN)].set(color="tab:green", weight="bold")
    figure.savefig(path)


def _draw_rule(axes: Any, row: int, values: np.ndarray, colour: str) -> None:
    jitter = np.random.default_rng(row).uniform(-0.28, 0.28, (2, len(values)))
    axes.scatter(values + jitter[1], row + jitter[0], s=7, color=colour, alpha=0.45, linewidths=0)
    axes.plot([values.mean()], [row], "|", color="black", markersize=20, markeredgewidth=2)
    near, mean = np.mean(abs(values) <= NEAR), np.mean(abs(values))
    text = f"{near:.0%} within {NEAR}, mean {mean:.1f}"
    axes.text(41.5, row + 0.3, text, ha="right", va="center", fontsize=8)


def main() -> None:
    """Record, replay, run; print, and write switching.json and switching.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", type=int, default=48, help="prompts to compare rules on")
    parser.add_argument("--confirm", type=int, default=48, help="further prompts, to confirm on")
    parser.add_argument("--run", type=int, default=32, help="confirming prompts to make videos of")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("runs/switching"))
    parser.add_argument("--work", type=Path, default=Path("runs/switching"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    first, last, steps = arguments.choose, arguments.choose + arguments.confirm, arguments.steps
    sets = {"choose": range(first), "confirm": range(first, last)}
    sets = {name: prompts for name, prompts in sets.items() if prompts}
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        found = recordings(pipe, last, steps, arguments.work / "recordings")
        wanted = range(first, min(last, first + arguments.run))
        made = runs(pipe, found, wanted, steps, arguments.work / "videos")
    rows = replay(found, sets, steps)
    for name, prompts in sets.items():
        for min_step in MIN_STEPS:
            caption = f"{len(prompts)} prompts to {name} by, min_step {min_step}"
            show(rows, caption, set=name, min_step=min_step)
    measured = costs(made, steps) if made else []
    show_costs(measured)
    content = {
        "steps": steps,
        "skipped": skipped(found),
        "uncached": uncached(found, sets, steps),
        "rules": rows,
        "runs": measured,
    }
    lines = (
        json.dumps(content).replace(', {"set"', ',\n {"set"').replace(', {"rule"', ',\n {"rule"')
    )
    (arguments.out / "switching.json").write_text(lines + "\n")
    draw(found, range(first, last), arguments.out / "switching.png")


if __name__ == "__main__":
    main()
