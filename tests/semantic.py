"""Held-out prompts on the demo pair: generate in batches, score, compare pairwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import sraccel
from sraccel.demo.score import Score, score_video
from sraccel.demo.shapes import Scene, held_out_scenes

BOOTSTRAPS = 2000


@dataclass
class Outcome:
    """What one setting made of the prompts.

    Attributes:
        scores: one a prompt.
        seconds: denoising seconds of each batch.
        reports: of each batch.
    """

    scores: list[Score] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    reports: list[sraccel.Report] = field(default_factory=list)

    def means(self) -> np.ndarray:
        """Mean over attributes, one a prompt."""
        return np.array([score.mean for score in self.scores])

    def attribute(self, name: str) -> np.ndarray:
        """One attribute, for the prompts that have it (NaN elsewhere)."""
        return np.array([score.values().get(name, np.nan) for score in self.scores], dtype=float)


def batches(prompts: int, size: int) -> Iterator[tuple[list[Scene], list[int]]]:
    """Held-out scenes and the seeds of their noise, in batches."""
    scenes = held_out_scenes(prompts)
    for start in range(0, prompts, size):
        chosen = scenes[start : start + size]
        yield chosen, list(range(start, start + len(chosen)))


def run_batch(
    outcome: Outcome,
    pipe: Any,
    recipe: Sequence[Any],
    scenes: list[Scene],
    seeds: list[int],
    steps: int,
) -> None:
    """Generate one batch under a recipe and add its scores. A batch shares one switch."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with sraccel.compose(pipe, recipe) as stack:
        frames = pipe(
            prompt=[scene.caption for scene in scenes],
            num_inference_steps=steps,
            generator=generators,
            output_type="np",
        ).frames
    report = stack.report
    assert report.accelerated is not None
    outcome.reports.append(report)
    outcome.seconds.append(report.accelerated.seconds)
    outcome.scores += [
        score_video(video, scene.caption) for video, scene in zip(frames, scenes, strict=True)
    ]


def paired_interval(ours: np.ndarray, theirs: np.ndarray, level: float = 0.95) -> tuple[float, ...]:
    """Mean difference, and its bootstrap interval over prompts (both in score units)."""
    both = ~(np.isnan(ours) | np.isnan(theirs))
    difference = ours[both] - theirs[both]
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(difference), (BOOTSTRAPS, len(difference)))
    means = difference[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)
