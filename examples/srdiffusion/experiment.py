"""What the experiments share: prompts, resumable runs, quality, tables and pictures.

An experiment generates every prompt under every setting, from the same noise. Each finished run is
a line of `runs.jsonl` and a file of frames; a second start resumes where the first one
stopped. It measures what the videos are like; `sraccel study`, how fast they are made.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from journal import Journal, load_frames, package_versions, save_frames
from quality import compare_videos, mean_interval, quartiles
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from showing import table

import sraccel
from sraccel.demo.pair import DEMO
from sraccel.demo.score import score_video
from sraccel.demo.shapes import held_out_scenes
from sraccel.errors import ModelError, SraccelError
from sraccel.files import output_folder, replacing
from sraccel.models.loading import load_pipeline
from sraccel.plugin import weights_checksum
from sraccel.recipe.prompts import PromptsError, read_prompts
from sraccel.video.frames import frames_of

DEMO_PROMPTS = 16


@dataclass(frozen=True)
class Setting:
    """One way of making the videos.

    Attributes:
        label: its name in tables and in `runs.jsonl`.
        accelerators: as in a recipe; SRDiffusion's render model is filled in.
    """

    label: str
    accelerators: tuple[Any, ...] = ()

    def recipe(self, render: Any) -> list[Any]:
        """The accelerators, with the render model where one is needed."""
        return [
            {**item, "render": render} if _is_srdiffusion(item) else item
            for item in self.accelerators
        ]

    def describe(self) -> list[Any]:
        """The accelerators as JSON."""
        return [
            item if isinstance(item, dict) else item.model_dump(mode="json")
            for item in self.accelerators
        ]


def _is_srdiffusion(item: Any) -> bool:
    return isinstance(item, dict) and item["use"] == "srdiffusion"


def srdiffusion(label: str, **options: Any) -> Setting:
    """A hybrid of both models."""
    return Setting(label, ({"use": "srdiffusion", **options},))


SKETCH_ONLY = Setting("sketch only")
RENDER_ONLY = srdiffusion("render only", switch_step=0)


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """The options that every experiment has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", default=DEMO, help="folder, name on the hub, or demo")
    made.add_argument("--render", help="the render model, likewise; demo's own for demo")
    made.add_argument("--prompts", type=Path, help="a prompt a line; held-out ones for demo")
    made.add_argument("--count", type=int, help=f"only so many prompts ({DEMO_PROMPTS} for demo)")
    made.add_argument("--steps", type=int, default=50, help="denoising steps (50)")
    made.add_argument("--call", type=json.loads, default={}, help='as JSON: {"height": 480}')
    made.add_argument("--out", type=Path, default=Path("runs") / name, help="folder for everything")
    return made


def load_prompts(arguments: argparse.Namespace) -> list[str]:
    """The prompts; the seed of a prompt's noise is its position.

    Raises:
        ModelError: there are none, and the model is not the demo pair.
    """
    if arguments.prompts is not None:
        try:
            return read_prompts(arguments.prompts)[: arguments.count]
        except PromptsError as error:
            raise ModelError(str(error)) from error
    if arguments.model != DEMO:
        raise ModelError(f"give --prompts FILE: {arguments.model} has no prompts of its own")
    return [scene.caption for scene in held_out_scenes(arguments.count or DEMO_PROMPTS)]


class Experiment:
    """Every prompt under every setting.

    Attributes:
        settings: what is compared.
        prompts: what is shown.
    """

    def __init__(
        self, name: str, settings: Sequence[Setting], arguments: argparse.Namespace
    ) -> None:
        self.name, self.settings, self.arguments = name, list(settings), arguments
        self.prompts = load_prompts(arguments)
        self.folder = output_folder(arguments.out)
        self._pipe: Any = load_pipeline(arguments.model)
        self._pipe.set_progress_bar_config(disable=True)
        self._render = self._load_render()
        self._journal = Journal(self.folder / "runs.jsonl", self.header())
        self._finished = {
            self._key(entry): entry
            for entry in self._journal.entries
            if (self.folder / entry["frames"]).is_file()
        }

    @property
    def demo(self) -> bool:
        """Whether the model is the demo pair, so that videos have a semantic score."""
        return bool(self.arguments.model == DEMO)

    def _load_render(self) -> Any:
        """The render model, loaded and checked by SRDiffusion itself."""
        name = self.arguments.render or (DEMO if self.demo else None)
        if name is None:
            raise ModelError(f"give --render: the model that follows {self.arguments.model}")
        stack = sraccel.compose(self._pipe, [{"use": "srdiffusion", "render": name}])
        return stack.denoisers["render"].module

    def header(self) -> dict[str, Any]:
        """What must be the same for runs to be compared."""
        arguments = self.arguments
        parts = {**self._pipe.components, "render": self._render}
        modules = {name: part for name, part in parts.items() if isinstance(part, torch.nn.Module)}
        return {
            "experiment": self.name,
            "model": arguments.model,
            "render": arguments.render,
            "weights": {name: weights_checksum(module) for name, module in modules.items()},
            "steps": arguments.steps,
            "call": arguments.call,
            "settings": {setting.label: setting.describe() for setting in self.settings},
            "versions": package_versions(),
        }

    @staticmethod
    def _key(entry: dict[str, Any]) -> tuple[int, str, str]:
        return entry["seed"], entry["prompt"], entry["setting"]

    def finished(self, label: str) -> list[dict[str, Any]]:
        """The runs of one setting, a prompt each, in order."""
        return [self._finished[seed, text, label] for seed, text in enumerate(self.prompts)]

    def frames(self, label: str) -> Iterator[torch.Tensor]:
        """Videos of one setting, of shape (frames, channels, height, width), prompt by prompt."""
        for entry in self.finished(label):
            yield load_frames(self.folder / entry["frames"])

    def run(self) -> None:
        """Make all videos that are not there yet."""
        work = [
            (seed, text, setting)
            for seed, text in enumerate(self.prompts)
            for setting in self.settings
            if (seed, text, setting.label) not in self._finished
        ]
        total = len(self.prompts) * len(self.settings)
        console = Console(stderr=True)
        console.print(f"{self.name}: {len(work)} of {total} runs to do", highlight=False)
        if not work:
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        counts = (MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, *counts, console=console) as progress:
            task = progress.add_task("", total=len(work))
            for seed, text, setting in work:
                progress.update(task, description=f"prompt {seed + 1}, {setting.label}")
                self._run(seed, text, setting)
                progress.advance(task)

    def _run(self, seed: int, text: str, setting: Setting) -> None:
        frames, report = self._generate(seed, text, setting)
        name = "".join(part if part.isalnum() else "-" for part in setting.label)
        path = Path("frames") / f"{seed:04}-{name}.npz"
        save_frames(self.folder / path, frames.numpy())
        entry = {
            "seed": seed,
            "prompt": text,
            "setting": setting.label,
            "switch_step": report.switch_step,
            "score": self._score(frames, text),
            "frames": path.as_posix(),
        }
        self._journal.add(entry)
        self._finished[self._key(entry)] = entry

    def _generate(
        self, seed: int, text: str, setting: Setting
    ) -> tuple[torch.Tensor, sraccel.Report]:
        stack = sraccel.compose(self._pipe, setting.recipe(self._render))
        stack.logs_warnings = False  # "never switched" is a result here
        with stack, torch.no_grad():
            output = self._pipe(
                prompt=text,
                num_inference_steps=self.arguments.steps,
                generator=torch.Generator().manual_seed(seed),
                output_type="np",
                **self.arguments.call,
            )
        frames = frames_of(output)
        if frames is None:
            raise ModelError(f"{type(self._pipe).__name__} made no frames to compare")
        return frames[0], stack.report

    def _score(self, frames: torch.Tensor, text: str) -> float | None:
        if not self.demo:
            return None
        try:
            return score_video(frames.movedim(1, -1).numpy(), text).mean
        except ValueError:  # a prompt beyond the demo pair's world
            return None

    def summary(self, setting: Setting, reference: Setting = SKETCH_ONLY) -> dict[str, Any]:
        """The figures of one setting, paired with a reference of the same prompts and noise.

        Qualities are (median, lower, upper quartile); the score's difference is (mean, ends of its
        95% interval), in score units.
        """
        ours, theirs = self.finished(setting.label), self.finished(reference.label)
        pairs = list(zip(ours, theirs, strict=True))
        quality = [
            compare_videos(one, other)
            for one, other in zip(
                self.frames(setting.label), self.frames(reference.label), strict=True
            )
        ]
        scored = [(a["score"], b["score"]) for a, b in pairs if a["score"] is not None]
        return {
            "setting": setting.label,
            "accelerators": setting.describe(),
            "reference": reference.label,
            "prompts": len(pairs),
            **{name: quartiles([each[name] for each in quality]) for name in quality[0]},
            "score": float(np.mean([a for a, _ in scored])) if scored else None,
            "score_difference": mean_interval([a - b for a, b in scored]) if scored else None,
            "switch_step": [entry["switch_step"] for entry in ours],
        }

    def publish(
        self,
        title: str,
        rows: list[dict[str, Any]],
        columns: Mapping[str, str],
        draw: Callable[[list[dict[str, Any]], Any], None],
        **more: Any,
    ) -> None:
        """Print the table; write results.json and results.png.

        Args:
            title: of table and picture.
            rows: the figures, a dictionary a row.
            columns: headings by key of a row; a key whose values are all None is left out.
            draw: draws the rows into a matplotlib figure.
            more: further results for the JSON.
        """
        from matplotlib.figure import Figure

        console = Console()
        if not console.is_terminal:  # a file has room for all columns
            console = Console(width=max(console.width, 150))
        console.print(table(f"{title} ({len(self.prompts)} prompts)", rows, columns))
        content = {**self.header(), "prompts": self.prompts, "rows": rows, **more}
        with replacing(self.folder / "results.json") as path:
            path.write_text(json.dumps(content, indent=1) + "\n")
        figure = Figure(figsize=(9, 4.2), layout="constrained", dpi=130)
        draw(rows, figure)
        figure.suptitle(f"{title} ({self.arguments.model}, {len(self.prompts)} prompts)")
        with replacing(self.folder / "results.png") as path:
            figure.savefig(path, format="png")
        console.print(f"{self.folder}: runs.jsonl, results.json, results.png", highlight=False)


def start(main: Callable[[], None]) -> None:
    """Run a script's main; an error is one message, Ctrl-C says how to resume."""
    try:
        main()
    except (SraccelError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: the same command resumes from here", file=sys.stderr)
        sys.exit(130)
