"""Held-out prompts on the demo pair: generate in batches, score, compare pairwise."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import torch

import sraccel
from sraccel.demo.fidelity import Fidelity, fidelity
from sraccel.demo.observation import observe
from sraccel.demo.score import AttributeScore, score_video
from sraccel.demo.shapes import Scene, held_out_scenes
from sraccel.plugin import Accelerator, Run, hookimpl

BOOTSTRAPS = 2000


class CpuSeconds(Accelerator):
    """Counts the processor's seconds: what else the machine does hardly changes them."""

    name = "cpu-seconds"
    claims_speed = False

    @hookimpl
    def run_started(self, run: Run) -> None:
        self._started = time.process_time()

    @hookimpl
    def run_finished(self, run: Run) -> None:
        run.note(self, seconds=time.process_time() - self._started)


@dataclass
class Outcome:
    """What one setting made of the prompts.

    Attributes:
        scores: one a prompt.
        fidelities: one a prompt.
        seconds: denoising seconds of each batch.
        cpu_seconds: the same of the processor, over all threads.
        switch_steps: first step of the other model, of each batch; None: no switch.
        reused: share of the calls whose blocks were skipped, of each batch.
    """

    scores: list[AttributeScore] = field(default_factory=list)
    fidelities: list[Fidelity] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    switch_steps: list[int | None] = field(default_factory=list)
    reused: list[float] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Append the batches of another outcome."""
        self.scores += other.scores
        self.fidelities += other.fidelities
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.switch_steps += other.switch_steps
        self.reused += other.reused

    def means(self) -> np.ndarray:
        """Mean over attributes, one a prompt."""
        return np.array([score.mean for score in self.scores])

    def attribute(self, name: str) -> np.ndarray:
        """One attribute, for the prompts that have it (NaN elsewhere)."""
        return np.array([score.values().get(name, np.nan) for score in self.scores], dtype=float)

    def measure(self, name: str) -> np.ndarray:
        """One of the continuous measures (`iou`, `path`, `psnr_db`), one a prompt."""
        return np.array([getattr(found, name) for found in self.fidelities])

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        kinds = {"scores": AttributeScore, "fidelities": Fidelity}
        judged = {name: [kind(**one) for one in content[name]] for name, kind in kinds.items()}
        return cls(**{**content, **judged})


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
) -> np.ndarray:
    """Generate one batch under a recipe, and add what came of it. A batch shares one switch.

    Returns:
        The videos in [0, 1], of shape (prompts, frames, height, width, 3).
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    stack = sraccel.compose(pipe, [*recipe, CpuSeconds.Options()])
    stack.logs_warnings = False  # "never switched" is a result here
    with stack:
        frames: np.ndarray = pipe(
            prompt=[scene.caption for scene in scenes],
            num_inference_steps=steps,
            generator=generators,
            output_type="np",
        ).frames
    report = stack.report
    assert report.accelerated is not None
    calls = [call.reused for step in report.steps for call in step.calls]
    seen = [
        (observe(video), scene.description) for video, scene in zip(frames, scenes, strict=True)
    ]
    outcome.add(
        Outcome(
            [score_video(*one) for one in seen],
            [fidelity(*one) for one in seen],
            seconds=[report.accelerated.seconds],
            cpu_seconds=[report.accelerators[-1].notes["seconds"]],
            switch_steps=[report.switch_step],
            reused=[sum(calls) / len(calls)],
        )
    )
    return frames


def paired_interval(ours: np.ndarray, theirs: np.ndarray, level: float = 0.95) -> tuple[float, ...]:
    """Mean difference, and its bootstrap interval over prompts (both in score units)."""
    both = ~(np.isnan(ours) | np.isnan(theirs))
    difference = ours[both] - theirs[both]
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(difference), (BOOTSTRAPS, len(difference)))
    means = difference[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)
