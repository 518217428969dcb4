"""Score the pair on held-out captions; write tables, loss curves and the contact sheet.

Every setting starts from the same noise, and those that switch from the same sketch run, which is
copied at each switch step, so differences between settings are paired.
"""

from __future__ import annotations

import csv
import functools
import json
import platform
import time
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

from sraccel.demo.fidelity import Fidelity, fidelity
from sraccel.demo.observation import observe
from sraccel.demo.score import AttributeScore, score_video, summarise
from sraccel.demo.shapes import Scene, held_out_scenes, render

mpl.use("Agg")
from matplotlib import pyplot as plt

STEPS = 50
SWITCH_STEPS = (3, 5, 8, 12, 16, 20, 30)
UNIFORM = (25, 12, 8)
"""Fewer plain steps of the sketch model, on the scheduler's own grid of so many."""
PLACED = {
    12: (0, 1, 2, 3, 4, 5, 8, 12, 17, 24, 32, 41),
    8: (0, 1, 2, 4, 7, 13, 22, 35),
}
"""Fewer plain steps of the sketch model, where most happens: these of the full grid."""
SCENE_SEED = 1234
BATCH = 32
SHEET_ROWS = 6
SHOWN = ("sketch", "switch at 8", "switch at 3", "8 placed steps", "8 uniform steps", "render")
SHEET_FRAMES = (0, 3, 5, 8)
Clips = npt.NDArray[np.float32]


@dataclass
class Setting:
    """Measures and the first clips of one way of denoising."""

    name: str
    scores: list[AttributeScore] = field(default_factory=list)
    fidelities: list[Fidelity] = field(default_factory=list)
    psnr_to_reference: list[float] = field(default_factory=list)
    clips: list[Clips] = field(default_factory=list)

    def add(self, clips: Clips, reference: Clips, scenes: list[Scene]) -> None:
        """Measure one batch; the reference is the sketch-only batch."""
        for clip, scene in zip(clips, scenes, strict=True):
            seen = observe(clip)
            self.scores.append(score_video(seen, scene.description))
            self.fidelities.append(fidelity(seen, scene.description))
        error = ((clips - reference) ** 2).mean(axis=(1, 2, 3, 4))
        self.psnr_to_reference += (-10 * np.log10(np.maximum(error, 1e-10))).tolist()
        if sum(map(len, self.clips)) < SHEET_ROWS:
            self.clips.append(clips[:SHEET_ROWS])

    def measures(self) -> dict[str, npt.NDArray[np.float64]]:
        """One number a prompt, by name."""
        return {
            "mean": np.array([score.mean for score in self.scores]),
            "whole": np.array([float(score.whole) for score in self.scores]),
            "figure_iou": np.array([found.iou for found in self.fidelities]),
            "path_px": np.array([found.path for found in self.fidelities]),
            "psnr_to_ideal_db": np.array([found.psnr_db for found in self.fidelities]),
        }


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
        "ground_truth": measure_ground_truth(pair, scenes),
        "settings": {
            name: table(setting, settings["sketch"]) for name, setting in settings.items()
        },
    }
    (docs / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    contact_sheet(settings, scenes, docs / "contact-sheet.png")
    losses(work, docs)


def run_settings(pair: Pair, scenes: list[Scene]) -> dict[str, Setting]:
    """Denoise all scenes in every setting."""
    settings: dict[str, Setting] = {}
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        clips = run_batch(pair, batch, start)
        for name, made in clips.items():
            settings.setdefault(name, Setting(name)).add(made, clips["sketch"], batch)
    return settings


def run_batch(pair: Pair, scenes: list[Scene], first_seed: int) -> dict[str, Clips]:
    """Denoise one batch: sketch only, a switch at several steps, render only, fewer steps."""
    sketch, small = forward_of(pair.sketch), forward_of(pair.render)
    embeds = embed(pair.pipeline, [scene.caption for scene in scenes])
    noise = initial_latents(pair.pipeline, range(first_seed, first_seed + len(scenes)))
    start = functools.partial(Denoising, pair.pipeline.scheduler, noise, embeds)
    run, switched = start(STEPS), {}
    for step in SWITCH_STEPS:
        run.advance(sketch, step)
        switched[f"switch at {step}"] = run.fork().advance(small)
    finished = {
        "sketch": run.advance(sketch),
        **dict(reversed(switched.items())),
        "render": start(STEPS).advance(small),
        **{f"{steps} uniform steps": start(steps).advance(sketch) for steps in UNIFORM},
        **{f"{n} placed steps": start(STEPS, kept).advance(sketch) for n, kept in PLACED.items()},
    }
    return {name: decode(pair.pipeline, done.latents) for name, done in finished.items()}


def table(setting: Setting, sketch: Setting) -> dict[str, Any]:
    """Mean measures, PSNR to sketch-only, and the paired differences with their intervals."""
    ours, theirs = setting.measures(), sketch.measures()
    return {
        **rounded({**summarise(setting.scores), **means(ours)}),
        "psnr_to_sketch_db": round(float(np.mean(setting.psnr_to_reference)), 2),
        "differences": {name: paired(ours[name] - theirs[name]) for name in ours},
    }


def paired(differences: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Mean of paired differences, and its 95% interval over prompts."""
    mean = float(differences.mean())
    half_width = 1.96 * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return {
        "mean": round(mean, 4),
        "interval_95": [round(mean - half_width, 4), round(mean + half_width, 4)],
    }


def means(measures: dict[str, npt.NDArray[np.float64]]) -> dict[str, float]:
    """Mean of each measure over the prompts."""
    return {name: float(values.mean()) for name, values in measures.items()}


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Four places each."""
    return {name: round(value, 4) for name, value in values.items()}


def measure_ground_truth(pair: Pair, scenes: list[Scene]) -> dict[str, dict[str, float]]:
    """Measure rendered clips, and the same clips through the autoencoder."""
    found = {name: Setting(name) for name in ("rendered", "reconstructed")}
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        clips = np.stack([render(scene) for scene in batch])
        found["rendered"].add(clips, clips, batch)
        found["reconstructed"].add(reconstruct(pair, clips), clips, batch)
    measured = {
        name: rounded({**summarise(setting.scores), **means(setting.measures())})
        for name, setting in found.items()
    }
    measured["reconstructed"]["psnr_db"] = round(
        float(np.mean(found["reconstructed"].psnr_to_reference)), 2
    )
    return measured


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
