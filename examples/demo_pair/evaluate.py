"""Score the pair on held-out captions; write tables, loss curves and the contact sheet.

Every setting starts from the same noise and the same sketch run, which is copied at each switch
step, so differences between settings are paired.
"""

from __future__ import annotations

import csv
import json
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import checkpoint
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from sampling import Denoising, Pair, decode, embed, forward_of, initial_latents, load_pair

from sraccel.demo.score import AttributeScore, score_video, summarise
from sraccel.demo.shapes import Scene, held_out_scenes, render

mpl.use("Agg")
from matplotlib import pyplot as plt

STEPS = 50
SWITCH_STEPS = (5, 8, 12, 16, 20, 25, 30)
SCENE_SEED = 1234
BATCH = 32
SHEET_ROWS = 6
SHOWN = ("sketch", "switch at 25", "switch at 16", "switch at 8", "switch at 5", "render")
SHEET_FRAMES = (0, 3, 5, 8)
Clips = npt.NDArray[np.float32]


@dataclass
class Setting:
    """Scores and the first clips of one way of denoising."""

    name: str
    scores: list[AttributeScore] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    clips: list[Clips] = field(default_factory=list)

    def add(self, clips: Clips, reference: Clips, scenes: list[Scene]) -> None:
        """Score one batch; the reference is the sketch-only batch."""
        self.scores += [
            score_video(clip, scene.caption) for clip, scene in zip(clips, scenes, strict=True)
        ]
        error = ((clips - reference) ** 2).mean(axis=(1, 2, 3, 4))
        self.psnr += (-10 * np.log10(np.maximum(error, 1e-10))).tolist()
        if sum(map(len, self.clips)) < SHEET_ROWS:
            self.clips.append(clips[:SHEET_ROWS])


def main(work: Path, out: Path, docs: Path, num_prompts: int) -> None:
    """Run everything and write it to ``docs``."""
    docs.mkdir(parents=True, exist_ok=True)
    pair = load_pair(out)
    scenes = held_out_scenes(num_prompts, SCENE_SEED)
    settings = run_settings(pair, scenes)
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "parameters": {
            "sketch": num_parameters(pair.sketch),
            "render": num_parameters(pair.render),
        },
        "num_prompts": num_prompts,
        "prompts": f"held_out_scenes({num_prompts}, seed={SCENE_SEED})",
        "num_inference_steps": STEPS,
        "forward_ms": forward_times(pair),
        "ground_truth": score_ground_truth(pair, scenes),
        "settings": {
            name: table(setting, settings["sketch"]) for name, setting in settings.items()
        },
    }
    (docs / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    contact_sheet(settings, scenes, docs / "contact-sheet.png")
    losses(work, docs)


def run_settings(pair: Pair, scenes: list[Scene]) -> dict[str, Setting]:
    """Denoise all scenes: sketch only, render only, and a switch at each of several steps."""
    names = ["sketch", *(f"switch at {step}" for step in reversed(SWITCH_STEPS)), "render"]
    settings = {name: Setting(name) for name in names}
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        clips = run_batch(pair, batch, start)
        for name in names:
            settings[name].add(clips[name], clips["sketch"], batch)
    return settings


def run_batch(pair: Pair, scenes: list[Scene], first_seed: int) -> dict[str, Clips]:
    """Denoise one batch in every setting."""
    sketch, small = forward_of(pair.sketch), forward_of(pair.render)
    embeds = embed(pair.pipeline, [scene.caption for scene in scenes])
    noise = initial_latents(pair.pipeline, range(first_seed, first_seed + len(scenes)))
    run = Denoising(pair.pipeline.scheduler, noise, embeds, STEPS)
    finished = {"render": run.fork().advance(small, STEPS)}
    for step in SWITCH_STEPS:
        run.advance(sketch, step)
        finished[f"switch at {step}"] = run.fork().advance(small, STEPS)
    finished["sketch"] = run.advance(sketch, STEPS)
    return {name: decode(pair.pipeline, done.latents) for name, done in finished.items()}


def table(setting: Setting, sketch: Setting) -> dict[str, Any]:
    """Mean attributes, PSNR to sketch-only, and the paired difference with its interval."""
    difference = [a.mean - b.mean for a, b in zip(setting.scores, sketch.scores, strict=True)]
    half_width = 1.96 * float(np.std(difference, ddof=1)) / len(difference) ** 0.5
    rounded = {name: round(value, 4) for name, value in summarise(setting.scores).items()}
    return {
        **rounded,
        "psnr_to_sketch_db": round(float(np.mean(setting.psnr)), 2),
        "difference": round(float(np.mean(difference)), 4),
        "difference_95": [round(float(np.mean(difference)) + s * half_width, 4) for s in (-1, 1)],
    }


def score_ground_truth(pair: Pair, scenes: list[Scene]) -> dict[str, dict[str, float]]:
    """Score rendered clips, and the same clips through the autoencoder."""
    clips = np.stack([render(scene) for scene in scenes])
    captions = [scene.caption for scene in scenes]
    parts = [clips[start : start + BATCH] for start in range(0, len(clips), BATCH)]
    coded = np.concatenate([reconstruct(pair, part) for part in parts])
    psnr = -10 * np.log10(((coded - clips) ** 2).mean())
    return {
        "rendered": _score(clips, captions),
        "reconstructed": {**_score(coded, captions), "psnr_db": round(float(psnr), 2)},
    }


def _score(clips: Clips, captions: Iterable[str]) -> dict[str, float]:
    scores = [score_video(clip, text) for clip, text in zip(clips, captions, strict=True)]
    return {name: round(value, 4) for name, value in summarise(scores).items()}


@torch.no_grad()
def reconstruct(pair: Pair, clips: Clips) -> Clips:
    """Pass clips through the autoencoder."""
    import vae as autoencoder

    model = pair.pipeline.vae
    pixels = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).to(pair.pipeline.device) * 2 - 1
    latents = autoencoder.normalise(model, autoencoder.encode(model, pixels))
    return decode(pair.pipeline, latents)


@torch.no_grad()
def forward_times(pair: Pair, repeats: int = 40) -> dict[str, float]:
    """Median milliseconds of one forward: batch 1, one thread, float32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    latents, embeds = initial_latents(pair.pipeline, [0]), embed(pair.pipeline, [""])[0]
    times: dict[str, float] = {}
    for role, model in (("sketch", pair.sketch), ("render", pair.render)):
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            model(latents, torch.tensor([500]), embeds)
            seconds.append(time.perf_counter() - start)
        times[role] = round(1e3 * float(np.median(seconds)), 2)
    torch.set_num_threads(threads)
    return {**times, "ratio": round(times["sketch"] / times["render"], 2)}


def contact_sheet(settings: dict[str, Setting], scenes: list[Scene], path: Path) -> None:
    """Draw some held-out prompts: a row each, a column for each setting, several frames."""
    size = (3.2 * len(SHOWN), 1.15 * SHEET_ROWS + 0.3)
    figure, axes = plt.subplots(SHEET_ROWS, len(SHOWN), figsize=size, squeeze=False)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.9, bottom=0.01, wspace=0.03, hspace=0.4)
    for row, line in enumerate(axes):
        for name, axis in zip(SHOWN, line, strict=True):
            clip = np.concatenate(settings[name].clips, axis=0)[row]
            strip = np.concatenate([clip[frame] for frame in SHEET_FRAMES], axis=1)
            axis.imshow(np.clip(strip, 0, 1), interpolation="nearest")
            axis.set_axis_off()
            if row == 0:
                axis.set_title(name, fontsize=12, pad=20, loc="left")
        line[0].text(0, -4, scenes[row].caption, fontsize=9.5)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def losses(work: Path, docs: Path, window: int = 20) -> None:
    """Write each denoiser's training loss as CSV, averaged over ``window`` steps, and plot it."""
    figure, axis = plt.subplots(figsize=(6, 3.2))
    for role in ("sketch", "render"):
        state = checkpoint.load(work / f"{role}.pt") or {"losses": []}
        rows = state["losses"]
        means = [
            (part[-1][0] + 1, round(float(np.mean([row[1] for row in part])), 5), part[-1][2])
            for part in (rows[start : start + window] for start in range(0, len(rows), window))
        ]
        with (docs / f"{role}-losses.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("step", "loss", "seconds"))
            writer.writerows(means)
        axis.plot([row[0] for row in means], [row[1] for row in means], label=role)
    axis.set(xlabel="training step", ylabel="flow-matching loss", yscale="log")
    axis.legend()
    figure.tight_layout()
    figure.savefig(docs / "losses.png", dpi=110)
    plt.close(figure)


def num_parameters(model: torch.nn.Module) -> int:
    """Count a model's parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def machine() -> str:
    """Describe the machine without naming it."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
