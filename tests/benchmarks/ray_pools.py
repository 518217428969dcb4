"""Many prompts in one process and on Ray with two workers: throughput, and what larger pools give.

    python tests/benchmarks/ray_pools.py --prompts 24 --steps 12 --switch 4
    python tests/benchmarks/ray_pools.py --books 20000 80000

Needs Ray (`pip install 'sraccel[ray]'`) and two cores. Prints the seconds of both ways, those of
each stage, what the sizes of the pools allow, and a simulation that is first held against what was
measured and then made for larger pools. `--books` times what is done before the first prompt, where
so many are finished already: reading their file, the manifest and the folder.
"""

from __future__ import annotations

import argparse
import heapq
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from sraccel.batch.dispatch import Dispatcher
from sraccel.batch.folder import BatchFolder
from sraccel.batch.local import run_local
from sraccel.batch.pools import Pools, balanced
from sraccel.batch.prompts_file import PromptJob, read_jobs
from sraccel.batch.record import Recorder
from sraccel.batch.stages import work_of
from sraccel.cluster import cluster
from sraccel.composer import compose
from sraccel.models.loading import load_pipeline
from sraccel.models.source import ModelSource
from sraccel.recipe.recipe import Recipe
from sraccel.report.origin import Origin, sources_of

PLACING: dict[str, Any] = {"dtype": "float32", "device": "cpu", "offload": "none"}
COLOURS, SHAPES = ("red", "blue", "green", "yellow"), ("circle", "square", "triangle")
MOVES = ("left", "right", "up", "down")


@dataclass
class Ends:
    """When prompts ended, in seconds since this was made; and this process's CPU seconds then."""

    begun: float = field(default_factory=time.perf_counter)
    at: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    def ended(self, job: PromptJob, reason: str) -> None:
        assert not reason, f"{job.id}: {reason}"
        self.at.append(time.perf_counter() - self.begun)
        self.own.append(time.process_time())

    @property
    def rate(self) -> float:
        """Prompts a second from the first one's end to the last one's."""
        return (len(self.at) - 1) / (self.at[-1] - self.at[0])

    @property
    def cpu(self) -> float:
        """CPU seconds of this process for a prompt, in that time."""
        return (self.own[-1] - self.own[0]) / (len(self.own) - 1)


@dataclass(frozen=True)
class Simulated:
    """What pools came to.

    Attributes:
        seconds: until the last prompt was written.
        rate: prompts a second from the first one's end to the last one's.
        waited: most runs that lay between the pools.
    """

    seconds: float
    rate: float
    waited: int


def simulate(pools: Pools, sketch: Sequence[float], render: Sequence[float]) -> Simulated:
    """The dispatcher's rule, prompt by prompt: at most one run waits for each worker.

    Args:
        pools: sizes.
        sketch, render: seconds of each prompt in either stage.
    """
    events: list[tuple[float, int, int]] = []  # when, stage, prompt
    free, waiting, ends = [pools.sketch, pools.render], list[int](), list[float]()
    begun, now, most = 0, 0.0, 0
    while len(ends) < len(sketch):
        while waiting and free[1]:
            prompt = waiting.pop(0)
            free[1] -= 1
            heapq.heappush(events, (now + render[prompt], 1, prompt))
        sketching = pools.sketch - free[0]
        while (
            begun < len(sketch)
            and free[0]
            and sketching + len(waiting) < pools.sketch + pools.render
        ):
            free[0] -= 1
            sketching += 1
            heapq.heappush(events, (now + sketch[begun], 0, begun))
            begun += 1
        now, stage, prompt = heapq.heappop(events)
        free[stage] += 1
        if stage:
            ends.append(now)
        else:
            waiting.append(prompt)
        most = max(most, len(waiting))
    return Simulated(now, (len(ends) - 1) / (ends[-1] - ends[0]), most)


def jobs_of(count: int, steps: int) -> list[PromptJob]:
    texts = [f"a {c} {s} moving {m}" for s in SHAPES for m in MOVES for c in COLOURS]
    calls = [{"prompt": texts[i % len(texts)], "num_inference_steps": steps} for i in range(count)]
    return [PromptJob(f"p{index}", call, index) for index, call in enumerate(calls)]


def recorder_of(folder: Path, recipe: Recipe) -> Recorder:
    folder.mkdir()
    origin = Origin(sources=sources_of([ModelSource(model="demo")], recipe), fps=8, **PLACING)
    return Recorder(folder, origin, recipe.model_dump(mode="json"))


def locally(recipe: Recipe, jobs: Sequence[PromptJob], folder: Path) -> Ends:
    recorder, ends = recorder_of(folder, recipe), Ends()
    pipe: Any = load_pipeline("demo", **PLACING)
    pipe.set_progress_bar_config(disable=True)
    run_local(
        compose(pipe, recipe), jobs, BatchFolder(folder, {}), recorder, report_prompt=ends.ended
    )
    return ends


def on_ray(recipe: Recipe, jobs: Sequence[PromptJob], folder: Path) -> tuple[Ends, Any]:
    recorder = recorder_of(folder, recipe)
    manifest = BatchFolder(folder, {})
    with cluster() as joined:
        ends = Ends()
        work = work_of("demo", recipe, recorder, PLACING)
        pools = Pools(1, 1)
        dispatcher = Dispatcher(joined, work, pools, jobs, manifest, report_prompt=ends.ended)
        dispatcher.run()
        return ends, dispatcher.seconds


def keep_books(folder: Path, count: int) -> str:
    """Seconds to find out that all of so many prompts are finished."""
    folder.mkdir()
    asked = [{"id": f"p{n}", "prompt": f"a red circle moving left, {n}"} for n in range(count)]
    lines, out = folder / "prompts.jsonl", folder / "out"
    lines.write_text("".join(json.dumps(line) + "\n" for line in asked))
    out.mkdir()
    manifest = BatchFolder(out, {}).manifest
    with manifest.open("a") as file:
        for line in asked:
            request = {"num_inference_steps": 8, "prompt": line["prompt"], "seed": 0}
            entry = {"id": line["id"], "status": "finished", "request": request, "switch_step": 3}
            file.write(json.dumps({**entry, "frames_sha256": "0" * 64, "warnings": []}) + "\n")
            for end in (".mp4", ".report.json"):
                (out / f"{line['id']}{end}").touch()
    begun = time.perf_counter()
    jobs = read_jobs(lines, {"num_inference_steps": 8}, 0)
    read = time.perf_counter()
    assert not BatchFolder(out, {}).left(jobs)
    done, size = time.perf_counter(), manifest.stat().st_size
    return (
        f"{count} prompts: {read - begun:.1f} s for their file, {done - read:.1f} s for what is "
        f"there; a manifest of {size / count:.0f} bytes a prompt"
    )


def main() -> None:
    """Measure, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--switch", type=int, default=4)
    parser.add_argument("--books", type=int, nargs="*", default=[])
    given = parser.parse_args()
    if given.books:
        with tempfile.TemporaryDirectory() as name:
            for count in given.books:
                print(keep_books(Path(name) / str(count), count))
        return
    recipe = Recipe.load([{"use": "srdiffusion", "render": "demo", "switch_step": given.switch}])
    jobs = jobs_of(given.prompts, given.steps)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spread, (sketch, render) = on_ray(recipe, jobs, folder / "ray")
        alone = locally(recipe, jobs, folder / "local")
        same = sum(
            (folder / "ray" / f"{job.id}.mp4").read_bytes()
            == (folder / "local" / f"{job.id}.mp4").read_bytes()
            for job in jobs
        )
    print(f"{same} of {len(jobs)} videos are the same bytes")
    for what, ends in (("one process", alone), ("two workers", spread)):
        print(f"{what}: {ends.at[-1]:.1f} s, loading included; {ends.rate:.3f} prompts/s after")
    stages = fmean(sketch), fmean(render)
    print(f"stages: sketch {stages[0]:.3f} s, render {stages[1]:.3f} s")
    print(f"the command: {spread.cpu:.4f} s of CPU a prompt, after the first one")
    found, ideal = spread.rate / alone.rate, sum(stages) / max(stages)
    print(f"throughput ratio: {found:.2f}; the sizes allow {ideal:.2f}")
    checked = simulate(Pools(1, 1), sketch, render)
    print(f"simulated for these two: {checked.rate:.3f} prompts/s")
    for devices in (2, 4, 8, 16, 64, 256):
        pools = balanced(devices, *stages)
        many = [list(values) * (40 * devices // len(jobs) + 1) for values in (sketch, render)]
        made = simulate(pools, *many)
        best = devices / sum(stages)
        print(
            f"{devices:4d} workers ({pools}): {made.rate:8.3f} prompts/s, {made.rate / best:.0%} "
            f"of all devices busy, {made.waited} runs wait at most; a million prompts: "
            f"{1e6 / made.rate / 3600:.1f} h"
        )


if __name__ == "__main__":
    main()
