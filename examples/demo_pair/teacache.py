"""Fit TeaCache's coefficients: how the change of a model's input foretells that of its output.

For each step the relative L1 change of the modulated input (x) is set against that of the block
stack's output (y), per branch, over training prompts; a polynomial of degree 4 maps x to y. The
*plain* variant reads the time embedding, the *retention* variant its six-fold projection.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import numpy.typing as npt
import torch
from diffusers import WanTransformer3DModel
from sampling import GUIDANCE_SCALE, Denoising, Forward, Pair, embed, initial_latents, load_pair

from sraccel.demo.shapes import training_scenes

DEGREE = 4
NUM_PROMPTS = 16
STEPS = (20, 30, 50)
SCENE_SEED = 77
MARGIN = 1.15
"""A fit must behave this factor beyond the range of its data."""
SIGNATURE = (
    "num_layers",
    "num_attention_heads",
    "attention_head_dim",
    "ffn_dim",
    "in_channels",
)
Vector = npt.NDArray[np.float64]


@dataclass
class Recorder:
    """Distances between consecutive steps of one model, per signal, branch and prompt."""

    model: WanTransformer3DModel
    distances: dict[str, list[Vector]] = field(default_factory=lambda: defaultdict(list))
    _previous: dict[tuple[str, str], torch.Tensor] = field(default_factory=dict)
    _signals: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listen to the time embedding, its projection, and the last block."""
        embedder = self.model.condition_embedder
        self._listen(embedder.time_embedder, "plain")
        self._listen(embedder.time_proj, "retention")
        self._listen(self.model.blocks[-1], "blocks")

    def _listen(self, module: torch.nn.Module, name: str) -> None:
        module.register_forward_hook(
            lambda _module, _inputs, output: self._signals.update({name: output})
        )

    def restart(self) -> None:
        """Forget the previous step; to be called before each run."""
        self._previous.clear()

    def forward(self) -> Forward:
        """Return a forward that records."""

        @torch.no_grad()
        def forward(
            branch: str, latents: torch.Tensor, timestep: torch.Tensor, embeds: torch.Tensor
        ) -> torch.Tensor:
            noise_pred: torch.Tensor = self.model(latents, timestep, embeds, return_dict=False)[0]
            self._signals["output"] = noise_pred
            for name, value in self._signals.items():
                self._compare(branch, name, value)
            return noise_pred

        return forward

    def _compare(self, branch: str, name: str, value: torch.Tensor) -> None:
        previous = self._previous.get((branch, name))
        if previous is not None:
            self.distances[name].append(rel_l1_distance(value, previous))
        self._previous[branch, name] = value

    def vector(self, name: str) -> Vector:
        """All distances of one signal."""
        return np.concatenate(self.distances[name])


def rel_l1_distance(current: torch.Tensor, previous: torch.Tensor) -> Vector:
    """``mean|current - previous| / mean|previous|`` for each row of a batch."""
    change = (current - previous).abs().flatten(1).mean(1)
    distance: Vector = (change / previous.abs().flatten(1).mean(1)).double().cpu().numpy()
    return distance


def main(out: Path) -> None:
    """Record both models, fit both variants, write ``teacache.json``."""
    pair = load_pair(out)
    models = {
        role: fit_model(pair, model)
        for role, model in (("sketch", pair.sketch), ("render", pair.render))
    }
    content = {"schema_version": 1, "models": models, "provenance": provenance(pair)}
    partial = out / "teacache.json.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(out / "teacache.json")


def fit_model(pair: Pair, model: WanTransformer3DModel) -> dict[str, Any]:
    """Record one model over whole runs and fit both variants."""
    recorder = Recorder(model)
    captions = [scene.caption for scene in training_scenes(NUM_PROMPTS, SCENE_SEED)]
    embeds = embed(pair.pipeline, captions)
    for steps in STEPS:
        recorder.restart()
        latents = initial_latents(pair.pipeline, range(NUM_PROMPTS))
        run = Denoising(pair.pipeline.scheduler, latents, embeds, steps)
        run.advance(recorder.forward(), steps)
    fits = {name: fit(recorder, name) for name in ("plain", "retention")}
    return {**fits, "signature": {key: model.config[key] for key in SIGNATURE}}


def fit(recorder: Recorder, variant: str) -> dict[str, Any]:
    """Fit one variant against the block stack's output; report the model's output beside it."""
    x, y = recorder.vector(variant), recorder.vector("blocks")
    coefficients = fit_polynomial(x, y)
    other = recorder.vector("output")
    return {
        "coefficients": coefficients.tolist(),
        "r2": r_squared(np.polyval(coefficients, x), y),
        "r2_model_output": r_squared(np.polyval(fit_polynomial(x, other), x), other),
        "x_range": [float(x.min()), float(x.max())],
        "num_points": len(x),
    }


def fit_polynomial(x: Vector, y: Vector) -> Vector:
    """Least squares, highest power first; the degree falls until the fit is sane.

    Sane: positive over the range of the data and a little beyond, and never far above its
    largest value.
    """
    grid = np.linspace(x.min() / MARGIN, x.max() * MARGIN, 512)
    for degree in range(DEGREE, 0, -1):
        fitted = np.polynomial.Polynomial.fit(x, y, degree).convert().coef[::-1]
        values = np.polyval(fitted, grid)
        if values.min() > 0 and values.max() <= 1.5 * y.max():
            break
    return np.concatenate([np.zeros(DEGREE + 1 - len(fitted)), fitted])


def r_squared(predicted: Vector, actual: Vector) -> float:
    """Explained fraction of the variance."""
    residual = float(((actual - predicted) ** 2).sum())
    return 1 - residual / float(((actual - actual.mean()) ** 2).sum())


def provenance(pair: Pair) -> dict[str, Any]:
    """How the coefficients came about."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "num_prompts": NUM_PROMPTS,
        "prompts": f"training_scenes({NUM_PROMPTS}, seed={SCENE_SEED})",
        "latent_seeds": [0, NUM_PROMPTS - 1],
        "num_inference_steps": list(STEPS),
        "guidance_scale": GUIDANCE_SCALE,
        "scheduler": type(pair.pipeline.scheduler).__name__,
        "flow_shift": pair.pipeline.scheduler.config.flow_shift,
        "output": "hidden stream after the last block, per branch",
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
    }
