"""Parts of `gpu_wan.py`: each measures one thing on one pair, and goes on where it was stopped."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from gpu_cases import (
    PARTS,
    STEPS,
    Case,
    Kind,
    Plan,
    asked_steps,
    cases,
    predicted,
    recipe_of,
)
from gpu_models import PAIRS, Pair, call_of, pipeline, sizes_of
from gpu_results import Results

import sraccel

GIB = 2**30
PROBE = Plan(tuple(range(8)), 4, frozenset({0, 1, 2, 4, 5, 6}))
"""Each model computed, then skipped; the first steps of each warm up."""
PLACEMENT = Plan(tuple(range(8)), 4, frozenset(range(8)))
PREDICTED = ("wan2.1-14b-quality", "Wan-AI/Wan2.1-T2V-14B-Diffusers")


@dataclass
class Setup:
    """What a part runs on.

    Attributes:
        part: its name.
        results: where lines go.
        device: `cuda` or `cpu`.
        tiny: two layers instead of the published depth and width.
        until: when to begin nothing more, by `time.time()`.
    """

    part: str
    results: Results
    device: str
    tiny: bool
    until: float

    @property
    def kernel(self) -> str:
        """Of SageAttention: a real one; the emulated one where there is no GPU."""
        return "auto" if self.device == "cuda" else "emulated"

    @property
    def steps(self) -> int:
        """Of a bare run."""
        return 20 if self.tiny else STEPS

    def add(self, what: str, **line: Any) -> None:
        """Write a line."""
        self.results.add(part=self.part, what=what, **line)


class Bench:
    """A pair on the device, at one size."""

    def __init__(self, setup: Setup, pair: Pair, size: tuple[int, int, int]) -> None:
        self.setup, self.pair = setup, pair
        self.pipe = pipeline(pair, pair.sketch, setup.device, setup.tiny)
        self.render = pipeline(pair, pair.render, setup.device, setup.tiny)
        self.call = call_of(pair, size, setup.device, setup.tiny)
        self.costs: dict[Kind, float] = {}

    def run(self, recipe: list[dict[str, Any]], steps: int) -> Any:
        """The report of one run."""
        stack = sraccel.compose(self.pipe, recipe)
        stack.logs_warnings = False
        with stack:
            self.pipe(
                num_inference_steps=steps,
                generator=torch.Generator().manual_seed(0),
                **self.call,
            )
        return stack.report

    def probe(self, sage: bool, label: str, rounds: int = 2) -> None:
        """Measure a step of each kind: a run of few steps, of which the last round counts."""
        case = Case(PARTS if sage else PARTS[1:])
        case = Case(tuple(part for part in case.parts if part != "steps"))
        recipe = recipe_of(case, PROBE, self.pair, self.render, self.setup.kernel)
        for _ in range(rounds):
            report = self.run(recipe, len(PROBE.positions))
        label += f" ({_kernel(report)})" if sage else ""
        self.setup.add("steps", label=label, costs=_by_name(self._take(report, sage)))

    def _take(self, report: Any, sage: bool) -> dict[Kind, float]:
        found: dict[Kind, list[float]] = {}
        for step, kind in zip(report.steps, PROBE.kinds(sage), strict=True):
            if step.index not in (0, PROBE.switch):
                found.setdefault(kind, []).append(step.seconds)
        taken = {kind: statistics.median(values) for kind, values in found.items()}
        self.costs |= taken
        return taken

    def guess(self, case: Case) -> float | None:
        """Seconds of a case, by the steps that were measured."""
        plan = Plan.of(case, self.pair, self.setup.steps)
        return predicted(plan.kinds("sage" in case.parts), self.costs)

    def measure(self, case: Case) -> None:
        """Run a case whole; what it raises is written down, and the next one comes."""
        setup, plan = self.setup, Plan.of(case, self.pair, self.setup.steps)
        guess = self.guess(case)
        given: dict[str, Any] = {"case": case.name, "predicted": guess}
        try:
            recipe = recipe_of(case, plan, self.pair, self.render, setup.kernel)
            report = self.run(recipe, asked_steps(plan, self.pair, setup.steps))
        except Exception as error:
            setup.add("case", **given, failed=_short(error))
            _free()
            return
        peak = report.peak_memory_bytes
        setup.add(
            "case",
            **given,
            kernel=_kernel(report),
            seconds=report.accelerated.seconds,
            peak_gib=None if peak is None else peak / GIB,
            steps=len(report.steps),
            reused=sum(call.reused for step in report.steps for call in step.calls),
        )

    def in_time(self, guess: float | None) -> bool:
        """Whether a run of so many seconds ends before the part must."""
        return time.time() + 1.1 * (guess or 0.0) < self.setup.until


def runs(setup: Setup, pair: Pair) -> bool:
    """Every case, whole, at the smaller size: measured beside predicted; whether there was time."""
    bench = Bench(setup, pair, sizes_of(pair, setup.tiny)[1])
    _probe_both(bench)
    for case in cases():
        if _is_done(setup, case):
            continue
        if bench.in_time(bench.guess(case)):
            bench.measure(case)
    return _all_done(setup)


def full(setup: Setup, pair: Pair) -> bool:
    """Steps of each kind at the published size, all cases predicted, the fastest ones measured
    first; whether there was time for all.
    """
    bench = Bench(setup, pair, sizes_of(pair, setup.tiny)[0])
    _probe_both(bench, rounds=1)
    known = {case: bench.guess(case) for case in cases()}
    for case, guess in known.items():
        if not _is_done(setup, case):
            setup.add("case", case=case.name, predicted=guess)
    for case, guess in sorted(known.items(), key=lambda one: one[1] or 0.0):
        if guess is not None and not _is_done(setup, case) and bench.in_time(guess):
            bench.measure(case)
    return _all_done(setup)


def placement(setup: Setup, pair: Pair) -> bool:
    """Which model is where: what the switch costs, and the peak, of the run after the first."""
    bench = Bench(setup, pair, sizes_of(pair, setup.tiny)[1])
    for residency in ("both", "swap", "prefetch"):
        if setup.results.find(part=setup.part, what="placement", residency=residency):
            continue
        try:
            line = _placed(bench, residency)
        except Exception as error:
            setup.add("residency", case=residency, failed=_short(error))
            _free()
        else:
            setup.add("placement", residency=residency, **line)
    return True


def _placed(bench: Bench, residency: str) -> dict[str, Any]:
    # The bench's own reference would keep the render model on the device.
    bench.render.to("cpu" if residency != "both" else bench.setup.device)
    _free()
    recipe = recipe_of(
        Case(("switch",)), PLACEMENT, bench.pair, bench.render, "", residency=residency
    )
    for _ in range(2):
        report = bench.run(recipe, len(PLACEMENT.positions))
    seconds = [step.seconds for step in report.steps]
    usual = statistics.median(seconds[PLACEMENT.switch + 1 :])
    peak = report.peak_memory_bytes
    return {
        "switch_seconds": seconds[PLACEMENT.switch] - usual,
        "peak_gib": None if peak is None else peak / GIB,
        "seconds": report.accelerated.seconds,
    }


def compiled(setup: Setup, pair: Pair) -> bool:
    """Steps of each kind where the blocks are compiled, at the smaller size."""
    bench = Bench(setup, pair, sizes_of(pair, setup.tiny)[1])
    bench.probe(sage=False, label="not compiled")
    started = time.perf_counter()
    for pipe in (bench.pipe, bench.render):
        pipe.transformer.compile_repeated_blocks(
            backend="inductor" if setup.device == "cuda" else "eager"
        )
    bench.probe(sage=False, label="compiled")
    seconds = time.perf_counter() - started
    setup.add("said", text=f"compiling both and two probes took {seconds:.1f} s")
    bench.probe(sage=True, label="compiled, 8-bit attention")
    return True


def prediction(setup: Setup, pair: Pair) -> bool:
    """What `sraccel predict` says of the published size, where there is such a command."""
    command = [sys.executable, "-m", "sraccel", "predict"]
    known = subprocess.run([*command, "--help"], capture_output=True, check=False)
    if known.returncode or setup.tiny:
        setup.add("said", text="not run: there is no command `sraccel predict`, or a tiny model")
        return True
    recipe, model = PREDICTED
    height, width, frames = sizes_of(pair, False)[0]
    numbers = {"height": height, "width": width, "frames": frames, "steps": STEPS}
    options = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    line = [*command, recipe, "--model", model, *options]
    done = subprocess.run(
        [*line, "--device", setup.device, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        setup.add("predict", failed=done.stderr[-500:])
    else:
        setup.add("predict", answer=json.loads(done.stdout))
        setup.add("said", text=f"`sraccel predict {recipe}`: see results.jsonl")
    return True


MEASURED: Mapping[str, Callable[[Setup, Pair], bool]] = {
    "runs": runs,
    "full": full,
    "placement": placement,
    "compiled": compiled,
    "prediction": prediction,
}
ORDER = (
    "wan2.1 runs",
    "wan2.1 full",
    "wan2.1 placement",
    "wan2.1 prediction",
    "cogvideox runs",
    "cogvideox full",
    "wan2.1 compiled",
    "cogvideox placement",
)
"""The most important first."""


def measure(setup: Setup) -> bool:
    """Run a part; whether there was time for all of it."""
    torch.set_grad_enabled(False)
    pair, _, what = setup.part.partition(" ")
    return MEASURED[what](setup, PAIRS[pair])


def _probe_both(bench: Bench, rounds: int = 2) -> None:
    bench.probe(sage=False, label="exact attention", rounds=rounds)
    try:
        bench.probe(sage=True, label="8-bit attention", rounds=rounds)
    except Exception as error:
        bench.setup.add("steps of sage", failed=_short(error))
        _free()


def _is_done(setup: Setup, case: Case) -> bool:
    found = setup.results.find(part=setup.part, what="case", case=case.name)
    return found is not None and ("seconds" in found or "failed" in found)


def _all_done(setup: Setup) -> bool:
    left = [case.name for case in cases() if not _is_done(setup, case)]
    if left:
        setup.add("said", text=f"No time for {len(left)} cases: {', '.join(left)}")
    return not left


def _by_name(costs: Mapping[Kind, float]) -> dict[str, float]:
    return {
        f"{role} {'skipped' if skip else 'computed'}": v for (role, skip, _), v in costs.items()
    }


def _kernel(report: Any) -> str | None:
    """The kernel of SageAttention, and how many attention calls it did not take."""
    notes = [one.notes for one in report.accelerators if one.name == "sageattention"]
    if not notes:
        return None
    counts = notes[0].get("attention_calls", {}).values()
    kept = sum(sum(one["fell_back"].values()) for one in counts)
    more = f", {kept} of {kept + sum(one['served'] for one in counts)} calls exact" if kept else ""
    return str(notes[0].get("kernel") or "no kernel is usable") + more


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _free() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def machine(device: str) -> dict[str, Any]:
    """What the figures belong to."""
    from sraccel.report.build import environment, versions

    found = {**environment(torch.device(device)), **versions()}
    if device == "cuda":
        found["memory"] = f"{torch.cuda.get_device_properties(0).total_memory / GIB:.0f} GiB"
    return found
