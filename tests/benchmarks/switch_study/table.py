"""Every switch step of many prompts, once: the table from which `policies.py` compares rules.

For each prompt the sketch model runs alone; at every switch step (`--every` thins the late ones)
the run is forked and finished by the render model, and every video is scored. With them stand what
the bare run showed at each step, and the sketch model with fewer steps, uniform and placed.

A finished prompt is a line of a journal in `--work`; the same command goes on after an interrupt.
Two processes share the work as `--shard 0/2` and `--shard 1/2`, in one folder.

    python tests/benchmarks/switch_study/table.py --work runs/switch_study/pair
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "srdiffusion"))

from experiment import start
from features import FeatureTrace
from forks import Embeds, Forks, Pair
from grids import best_placements, placed_grid, uniform_grid
from journal import Journal, package_versions
from judging import curves, decode
from tables import finished_prompts

from sraccel.demo.pair import DEMO_GUIDANCE_SCALE, demo_call, demo_weights
from sraccel.demo.shapes import NUM_FRAMES, Scene, held_out_scenes
from sraccel.errors import ConflictError
from sraccel.files import output_folder, replacing
from sraccel.plugin import weights_checksum

SEED = 13
"""Of the scenes; prompt p has the noise of seed 1000 * SEED + p."""
CHOOSING = SEED + 1
"""The same, of the prompts that placements are chosen on."""
FEWER = (0.16, 0.2, 0.26, 0.34, 0.5)
"""Shares of the full grid's steps that the sketch model is run with."""


@dataclass
class Study:
    """The models, and what is done to each prompt.

    Attributes:
        pipe: the sketch model's pipeline.
        switches: of the full grid, without the run that never switches.
        placements: positions on the full grid, by number of steps.
        placed_switches: switch steps of the placed grids.
    """

    pipe: Any
    pair: Pair
    steps: int
    switches: list[int]
    placements: dict[int, list[int]]
    placed_switches: list[int]

    def header(self) -> dict[str, Any]:
        """What must be the same for prompts to be compared."""
        models = {"sketch": self.pair.sketch, "render": self.pair.render, "vae": self.pipe.vae}
        models["text_encoder"] = self.pipe.text_encoder
        scheduler = self.pipe.scheduler
        return {
            "weights": {name: weights_checksum(model) for name, model in models.items()},
            "scheduler": type(scheduler).__name__,
            "flow_shift": scheduler.config.flow_shift,
            "guidance_scale": self.pair.guidance_scale,
            "steps": self.steps,
            "sigmas": uniform_grid(scheduler, self.steps).sigmas.tolist(),
            "switches": self.switches,
            "placements": {str(count): where for count, where in self.placements.items()},
            "placed_switches": self.placed_switches,
            "seed": SEED,
            "versions": package_versions(),
        }

    def measure(self, scenes: list[Scene], prompts: list[int]) -> list[dict[str, Any]]:
        """Everything about some prompts, a line each."""
        captions = [scene.caption for scene in scenes]
        embeds = embed(self.pipe, captions)
        latents = noise(self.pipe, [1000 * SEED + prompt for prompt in prompts])
        full = Forks(self.pair, uniform_grid(self.pipe.scheduler, self.steps), latents, embeds)
        trace = FeatureTrace(len(prompts))
        for step in full.run(self.switches):
            trace.add(step)
        finished = {"full": full.finished(), **self._fewer(latents, embeds)}
        bare = decode(self.pipe, finished["full"][self.steps])
        runs = {name: curves(self.pipe, made, captions, bare) for name, made in finished.items()}
        seconds = {role: clock.seconds_a_row for role, clock in full.clocks.items()}
        return [
            {
                "prompt": prompt,
                "caption": captions[row],
                "seconds_a_forward": seconds,
                "features": rounded(trace.rows[row]),
                "runs": {name: made[row] for name, made in runs.items()},
            }
            for row, prompt in enumerate(prompts)
        ]

    def _fewer(self, latents: torch.Tensor, embeds: Embeds) -> dict[str, dict[int, torch.Tensor]]:
        made = {}
        for count, positions in self.placements.items():
            uniform = uniform_grid(self.pipe.scheduler, count)
            placed = placed_grid(self.pipe.scheduler, self.steps, positions)
            switches = [step for step in self.placed_switches if step < count]
            made[f"uniform-{count}"] = Forks(self.pair, uniform, latents, embeds).finish()
            made[f"placed-{count}"] = Forks(self.pair, placed, latents, embeds).finish(switches)
        return made


def embed(pipe: Any, captions: list[str]) -> Embeds:
    """Embeddings of captions and of the empty prompt."""
    with torch.no_grad():
        made: Embeds = pipe.encode_prompt(
            captions, max_sequence_length=demo_call()["max_sequence_length"]
        )
    return made


def noise(pipe: Any, seeds: list[int]) -> torch.Tensor:
    """The pipeline's own initial latents, a row a seed."""
    size = demo_call()
    made: torch.Tensor = pipe.prepare_latents(
        len(seeds),
        pipe.transformer.config.in_channels,
        size["height"],
        size["width"],
        NUM_FRAMES,
        torch.float32,
        torch.device("cpu"),
        [torch.Generator().manual_seed(seed) for seed in seeds],
    )
    return made


def rounded(row: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    """Features with as many digits as mean something."""
    return {
        name: [None if value is None else float(f"{value:.6g}") for value in values]
        for name, values in row.items()
    }


def load(arguments: argparse.Namespace) -> tuple[Any, Pair]:
    """The sketch model's pipeline, with its flow shift, and both models."""
    from diffusers import WanTransformer3DModel

    from sraccel.demo.pipeline import DemoPipeline

    folder = arguments.model_folder or demo_weights()
    kinds: list[Any] = [DemoPipeline, WanTransformer3DModel]
    pipe = kinds[0].from_pretrained(folder, use_safetensors=True)
    render = kinds[1].from_pretrained(
        arguments.render_folder or Path(folder) / "render", use_safetensors=True
    )
    if arguments.flow_shift is not None:
        kind = type(pipe.scheduler)
        pipe.scheduler = kind.from_config(pipe.scheduler.config, flow_shift=arguments.flow_shift)
    scale = arguments.guidance_scale
    return pipe, Pair(pipe.transformer.eval(), render.eval(), scale, arguments.chunk)


def chosen_placements(arguments: argparse.Namespace, pipe: Any, pair: Pair) -> dict[int, list[int]]:
    """Those given, those of an earlier start, or those that do best on prompts of their own."""
    path = arguments.placements or arguments.work / "placements.json"
    if arguments.placements is None and not path.exists():
        counts = arguments.fewer or sorted({round(arguments.steps * share) for share in FEWER})
        scenes = held_out_scenes(arguments.choosing, seed=CHOOSING)
        print("choosing the placed steps", file=sys.stderr)
        found = best_placements(
            pair,
            pipe.scheduler,
            noise(pipe, [1000 * CHOOSING + row for row in range(len(scenes))]),
            embed(pipe, [scene.caption for scene in scenes]),
            arguments.steps,
            [count for count in counts if count > 0],
        )
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(found) + "\n")
    found = json.loads(path.read_text("utf-8"))
    beyond = [count for count, where in found.items() if max(where) >= arguments.steps]
    if beyond:
        raise ConflictError(
            f"{path} places {' and '.join(beyond)} steps on a grid of more than {arguments.steps}: "
            "give placements of this grid, or none, to have them chosen"
        )
    return {int(count): where for count, where in found.items()}


def switch_steps(steps: int, every: int, after: int) -> list[int]:
    """All of them up to `after`, then every so many."""
    return [step for step in range(steps) if step <= after or (step - after) % every == 0]


def batches(
    prompts: int, size: int, shard: tuple[int, int], done: set[int]
) -> Iterator[tuple[list[Scene], list[int]]]:
    """The shard's prompts that are still to do, in batches that do not depend on what is done."""
    scenes, (mine, of) = held_out_scenes(prompts, seed=SEED), shard
    for number, first in enumerate(range(0, prompts, size)):
        todo = [p for p in range(first, min(first + size, prompts)) if p not in done]
        if number % of == mine and todo:
            yield [scenes[prompt] for prompt in todo], todo


def shard(text: str) -> tuple[int, int]:
    """`0/2`: the first of two."""
    mine, of = (int(part) for part in text.split("/"))
    if not 0 <= mine < of:
        raise argparse.ArgumentTypeError(f"{text}: give 0/{of} to {of - 1}/{of}")
    return mine, of


def parsed(given: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--work", type=Path, default=Path("runs/switch_study/pair"), help="folder of the table")
    add("--prompts", type=int, default=300)
    add("--batch", type=int, default=4, help="prompts that run together: what an interrupt loses")
    add("--chunk", type=int, default=16, help="rows of one forward")
    add("--steps", type=int, default=50)
    add("--guidance-scale", type=float, default=DEMO_GUIDANCE_SCALE)
    add("--flow-shift", type=float, help="the pipeline's own, unless given")
    add("--model-folder", type=Path, help="a pipeline's folder; the demo pair's, unless given")
    add("--render-folder", type=Path, help="a transformer's folder; `render` in the pipeline's")
    add("--every", type=int, default=1, help="after `--dense-until`, switch at every so many steps")
    add("--dense-until", type=int, default=20)
    add("--fewer", type=int, nargs="*", help="numbers of steps of the sketch model with fewer")
    add("--placed-switches", type=int, nargs="*", default=[2, 4, 8], help="on the placed grids")
    add("--placements", type=Path, help="JSON: positions on the full grid by number of steps")
    add("--choosing", type=int, default=6, help="prompts to choose placements on")
    add("--shard", type=shard, default=(0, 1), metavar="I/N", help="do only these batches")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Measure every prompt that is not in the table yet."""
    arguments = parsed(given)
    torch.set_num_threads(1)
    work = output_folder(arguments.work)
    pipe, pair = load(arguments)
    study = Study(
        pipe,
        pair,
        arguments.steps,
        switch_steps(arguments.steps, arguments.every, arguments.dense_until),
        chosen_placements(arguments, pipe, pair),
        arguments.placed_switches,
    )
    mine, of = arguments.shard
    journal = Journal(work / f"prompts-{mine}-of-{of}.jsonl", study.header())
    done = finished_prompts(work, study.header())
    todo = list(batches(arguments.prompts, arguments.batch, arguments.shard, done))
    print(f"{len(done)} prompts are there, {len(todo)} batches to do", file=sys.stderr)
    for scenes, prompts in track(todo, "batches", console=Console(stderr=True)):
        for line in study.measure(scenes, prompts):
            journal.add(line)


if __name__ == "__main__":
    start(main)
