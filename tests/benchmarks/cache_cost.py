"""What an attached cache costs where nothing is skipped and where all is, beside diffusers' own.

    python tests/benchmarks/cache_cost.py --json FILE

1. A denoising step of the demo pair's sketch model that computes: bare, and under each cache.
2. A step that skips: under TeaCache and MagCache, and what they cannot save (embedding and head:
   the model without its blocks). FirstBlockCache and SeaCache do more than that by their nature; a
   rule that skips whole calls saves that too.
3. Microseconds a forward on a null model of 30 blocks, beyond the relative L1 distance itself.

A step is two forwards, cond and uncond, with the inputs of a real call. All ways alternate in one
process, step by step, in random order, so that drift of the machine cannot favour one; ratios are
of the same step. Each way has a model of its own, and all share their weights. On a busy machine
`--cpu-time` counts the thread's own time, which leaves out what others take.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from overhead import AlwaysSkips, NeverReuses, NullAdapter, NullDenoiser

import sraccel
from sraccel.plugin import rel_l1_distance
from sraccel.report.build import versions
from sraccel.testing import load_demo_pipeline

PROMPT = "a red circle moving left above a blue square moving right"
STEPS = 50
TINY, HUGE = 1e-9, 1e9
IDENTITY = [0.0, 0.0, 0.0, 1.0, 0.0]
"""TeaCache's polynomial here: it never goes below zero, so that the thresholds above decide."""
BARE, AGAIN, EMPTY, TEACACHE = "bare", "bare, another copy", "empty stack", "TeaCache"
FIRST_BLOCK, MAG, ENDS = "FirstBlockCache", "MagCache", "embedding and head"
WHOLE = "a rule of whole calls"
CLOCK = [time.perf_counter]
GOALS = {"computed": 1.02, "skipped": 1.5, "null_us": 15.0, "call": 0.01}

Calls = list[tuple[str, dict[str, Any]]]
"""Of one step: branch and arguments of each."""


def recorded_calls(pipe: Any) -> list[Calls]:
    """The transformer's calls of a whole run, step by step."""
    found: Calls = []

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert not args
        kept = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
        found.append((("cond", "uncond")[len(found) % 2], kept))

    handle = pipe.transformer.register_forward_pre_hook(record, with_kwargs=True)
    pipe(
        prompt=PROMPT,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
    )
    handle.remove()
    return [found[i : i + 2] for i in range(0, len(found), 2)]


def sharing(model: nn.Module) -> Any:
    """A copy that has the same tensors."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


@dataclass
class Way:
    """One way of making a step.

    Attributes:
        model: its own.
        run: opens whatever a run of 50 steps needs, and yields what opens a step, if anything does.
    """

    model: Any
    run: Callable[[Any], Any]

    def seconds(self, run: Any, index: int, calls: Calls) -> float:
        """One step, each call in its context, as the pipeline makes it."""
        sigma = float(calls[0][1]["timestep"][0]) / 1000
        place = {"step_index": index, "sigma": sigma, "num_inference_steps": STEPS}
        started = CLOCK[0]()
        with ExitStack() as step:
            if run is not None:
                step.enter_context(run.step(index, timestep=sigma * 1000, sigma=sigma))
            for branch, arguments in calls:
                with self.model.cache_context(branch, **place):
                    self.model(**arguments)
        return CLOCK[0]() - started


@contextmanager
def bare(model: Any) -> Iterator[None]:
    """Nothing is attached."""
    yield


def through_sraccel(*accelerators: Any) -> Callable[[Any], Any]:
    """A run under a stack."""

    @contextmanager
    def run(model: Any) -> Iterator[Any]:
        stack = sraccel.compose(model, list(accelerators))
        stack.logs_warnings = False
        with stack, stack.run(num_inference_steps=STEPS) as opened:
            yield opened

    return run


def through_diffusers(config: Any) -> Callable[[Any], Any]:
    """One of diffusers' own caches."""

    @contextmanager
    def run(model: Any) -> Iterator[None]:
        model.enable_cache(config)
        try:
            yield
        finally:
            model.disable_cache()

    return run


def teacache(threshold: float) -> dict[str, Any]:
    """TeaCache that skips nothing (a tiny threshold), or all but the first and the last step."""
    return {"use": "teacache", "threshold": threshold, "coefficients": IDENTITY}


def computing(model: Any) -> dict[str, Way]:
    """Every cache decides at every step, and decides to compute."""
    mag = MagCacheConfig(
        threshold=0, retention_ratio=0, mag_ratios=[2.0] * STEPS, num_inference_steps=STEPS
    )
    runs = {
        BARE: bare,
        AGAIN: bare,  # how far apart two equal ways come out
        EMPTY: through_sraccel(),
        TEACACHE: through_sraccel(teacache(TINY)),
        FIRST_BLOCK: through_diffusers(FirstBlockCacheConfig(threshold=TINY)),
        MAG: through_diffusers(mag),
    }
    return {name: Way(sharing(model), run) for name, run in runs.items()}


def skipping(model: Any) -> dict[str, Way]:
    """Every cache skips all that it can."""
    mag = MagCacheConfig(
        threshold=HUGE,
        max_skip_steps=STEPS,
        retention_ratio=0,
        mag_ratios=[1.0] * STEPS,
        num_inference_steps=STEPS,
    )
    ends = sharing(model)
    ends.blocks = nn.ModuleList()
    return {
        ENDS: Way(ends, bare),
        TEACACHE: Way(sharing(model), through_sraccel(teacache(HUGE))),
        WHOLE: Way(sharing(model), through_sraccel(AlwaysSkips())),
        MAG: Way(sharing(model), through_diffusers(mag)),
    }


def timed_steps(ways: Mapping[str, Way], steps: list[Calls], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step but the first and the last, of all rounds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    shuffled = random.Random(0)
    for _ in track(range(rounds), "rounds", console=Console(stderr=True)):
        gc.collect()
        with ExitStack() as opened:
            runs = {name: opened.enter_context(way.run(way.model)) for name, way in ways.items()}
            for index, calls in enumerate(steps):
                for name in shuffled.sample(list(ways), len(ways)):
                    seconds = ways[name].seconds(runs[name], index, calls)
                    if 0 < index < STEPS - 1:
                        times[name].append(seconds)
    return times


def check(ways: Mapping[str, Way], steps: list[Calls], skips: bool) -> None:
    """Run every way once, and see that it computes or skips as it should; warms up, too.

    Raises:
        RuntimeError: it does not.
    """
    for name, way in ways.items():
        if not way.model.blocks:
            continue
        ran: list[int] = []
        block = way.model.blocks[len(way.model.blocks) // 2]
        handle = block.attn1.register_forward_pre_hook(lambda *_, ran=ran: ran.append(1))
        with way.run(way.model) as run:
            for index, calls in enumerate(steps):
                way.seconds(run, index, calls)
        handle.remove()
        if (len(ran) > 4) if skips else (len(ran) < 2 * STEPS):
            raise RuntimeError(f"{name}: {len(ran)} of {2 * STEPS} forwards ran their blocks")


def part(
    ways: Mapping[str, Way], steps: list[Calls], rounds: int, *, skips: bool
) -> dict[str, Any]:
    """The figures of ways that all compute, or all skip, beside the first one's."""
    check(ways, steps, skips)
    return ratios(timed_steps(ways, steps, rounds), to=next(iter(ways)))


def ratios(times: Mapping[str, list[float]], to: str) -> dict[str, Any]:
    """Milliseconds a step, and the paired ratios to one way, median and quartiles."""
    return {
        name: {
            "milliseconds": statistics.median(values) * 1e3,
            "ratio": _quartiles([a / b for a, b in zip(values, times[to], strict=True)]),
        }
        for name, values in times.items()
    }


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, low, high


def null_ways(inputs: list[torch.Tensor]) -> dict[str, Callable[[int], float]]:
    """By name: seconds of so many forwards of the null model, or of as many distances."""
    model, adapters = NullDenoiser().eval(), [NullAdapter()]

    def plain(count: int) -> float:
        started = CLOCK[0]()
        for index in range(count):
            model(inputs[index // 2 % 2])
        return CLOCK[0]() - started

    def distances(count: int) -> float:
        one, other = inputs
        started = CLOCK[0]()
        for _ in range(count):
            float(rel_l1_distance(one, other))
        return CLOCK[0]() - started

    def under(*recipe: Any) -> Callable[[int], float]:
        def seconds(count: int) -> float:
            stack = sraccel.compose(model, list(recipe), adapters=adapters)
            stack.logs_warnings = False
            with stack, stack.run(num_inference_steps=count // 2) as run:
                started = CLOCK[0]()
                for index in range(count // 2):
                    with run.step(index, timestep=0.0, sigma=1.0) as step:
                        for branch in ("cond", "uncond"):
                            with step.branch(branch):
                                model(inputs[index % 2])
                return CLOCK[0]() - started

        return seconds

    return {
        BARE: plain,
        EMPTY: under(),
        "blocks watched": under(NeverReuses.Options(use=NeverReuses.name)),
        "TeaCache, computing": under(teacache(TINY)),
        "TeaCache, skipping": under(teacache(HUGE)),
        "distance alone": distances,
    }


def timed_nulls(rounds: int, count: int) -> dict[str, list[float]]:
    """Microseconds a forward, of every round but the first."""
    ways = null_ways([torch.rand(1, 8, 8), torch.rand(1, 8, 8)])
    times: dict[str, list[float]] = {name: [] for name in ways}
    shuffled = random.Random(0)
    for number in range(rounds + 1):
        for name in shuffled.sample(list(ways), len(ways)):
            microseconds = ways[name](count) / count * 1e6
            if number > 0:
                times[name].append(microseconds)
    return times


def added(times: Mapping[str, list[float]]) -> dict[str, Any]:
    """Microseconds a forward: in all, beyond bare, and beyond bare and the distance."""
    found = {}
    for name, values in times.items():
        rows = list(zip(values, times[BARE], times["distance alone"], strict=True))
        found[name] = {
            "microseconds": statistics.median(values),
            "beyond_bare": _quartiles([a - b for a, b, _ in rows]),
            "beyond_bare_and_distance": _quartiles([a - b - c for a, b, c in rows]),
        }
    return found


def show(computed: Any, skipped: Any, nulls: Any) -> None:
    """Print the three parts."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 100))
    for title, figures in (("a computed step", computed), ("a skipped step", skipped)):
        base = next(iter(figures))
        table = Table(title=f"{title}, to {base}: median (quartiles)", title_justify="left")
        for heading in ("", "ms", "ratio"):
            table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        for name, r in figures.items():
            table.add_row(name, f"{r['milliseconds']:.3f}", _text(r["ratio"], ".3f"))
        console.print(table)
    table = Table(title="the null model of 30 blocks, microseconds a forward", title_justify="left")
    for heading in ("", "in all", "beyond bare", "beyond bare and distance"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, r in nulls.items():
        beyond = "" if name == "distance alone" else _text(r["beyond_bare"], "+.1f")
        further = _text(r["beyond_bare_and_distance"], "+.1f") if "TeaCache" in name else ""
        table.add_row(name, f"{r['microseconds']:.1f}", beyond, further)
    console.print(table)


def _text(values: Any, form: str) -> str:
    middle, low, high = (f"{value:{form}}" for value in values)
    return f"{middle} ({low} to {high})"


def verdicts(computed: Any, skipped: Any, nulls: Any) -> dict[str, tuple[float, float, bool]]:
    """What TeaCache should cost at most, by goal: measured, limit, whether it is kept."""
    ours = computed[TEACACHE]["ratio"][0]
    others = min(computed[name]["ratio"][0] for name in (FIRST_BLOCK, MAG))
    null = nulls["TeaCache, computing"]["beyond_bare_and_distance"][0]
    call = skipped[WHOLE]["milliseconds"] / computed[BARE]["milliseconds"]
    pairs = {
        "computed step, times bare": (ours, GOALS["computed"]),
        "computed step, the cheaper of diffusers' two": (ours, others),
        "skipped step, times embedding and head": (skipped[TEACACHE]["ratio"][0], GOALS["skipped"]),
        "step of skipped calls, times a bare step": (call, GOALS["call"]),
        "null model, us beyond the distance": (null, GOALS["null_us"]),
    }
    return {name: (value, limit, value <= limit) for name, (value, limit) in pairs.items()}


def main() -> None:
    """Measure, print, and write the JSON if it is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="runs of 50 steps, every way")
    parser.add_argument("--skipped-rounds", type=int, default=40)
    parser.add_argument("--null-rounds", type=int, default=41)
    parser.add_argument("--forwards", type=int, default=200, help="of the null model, a round")
    parser.add_argument("--cpu-time", action="store_true", help="not the clock on the wall")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.cpu_time:
        CLOCK[0] = time.thread_time
    pipe = load_demo_pipeline("transformer")
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        steps = recorded_calls(pipe)
        nulls = added(timed_nulls(arguments.null_rounds, arguments.forwards))
        skipped = part(skipping(pipe.transformer), steps, arguments.skipped_rounds, skips=True)
        computed = part(computing(pipe.transformer), steps, arguments.rounds, skips=False)
    show(computed, skipped, nulls)
    judged = verdicts(computed, skipped, nulls)
    for name, (value, limit, kept) in judged.items():
        print(f"{name}: {value:.3f}, at most {limit:.3f}: {'kept' if kept else 'NOT kept'}")
    if arguments.json is not None:
        content: dict[str, Any] = {"cpu_time": arguments.cpu_time}
        content |= {"date": datetime.now(UTC).date().isoformat(), "versions": dict(versions())}
        content |= {"computed": computed, "skipped": skipped, "null": nulls, "goals": judged}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
