"""Held-out prompts on the demo pair: generate in batches, score, compare pairwise."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from placed_steps import placed_steps

import sraccel
from sraccel.demo.fidelity import Fidelity, fidelity
from sraccel.demo.observation import observe
from sraccel.demo.score import AttributeScore, score_video
from sraccel.demo.shapes import Scene, held_out_scenes
from sraccel.plugin import Accelerator, Run, hookimpl

if TYPE_CHECKING:
    from sraccel import Report

BOOTSTRAPS = 2000
MEASURES = ("score", "iou", "path", "ideal_psnr_db")
"""What is measured of each video alone: `Outcome.measure`."""

Calls = dict[str, tuple[int, float]]
"""How many calls of a kind (`transformer computed`, `render reused`), and their seconds."""


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
        scores: attributes, one a prompt.
        fidelities: distances to the ideal video, one a prompt.
        prompts: how many each batch has.
        seconds: denoising seconds of each batch.
        cpu_seconds: the same of the processor, over all threads.
        switch_steps: first step of the other model, of each batch; None: no switch.
        reused: share of the calls whose blocks were skipped, of each batch.
        computed: steps that at least one call computed, of each batch.
        calls: of the denoisers, of each batch.
    """

    scores: list[AttributeScore] = field(default_factory=list)
    fidelities: list[Fidelity] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    switch_steps: list[int | None] = field(default_factory=list)
    reused: list[float] = field(default_factory=list)
    computed: list[list[int]] = field(default_factory=list)
    calls: list[Calls] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Append the batches of another outcome."""
        for part in fields(self):
            getattr(self, part.name).extend(getattr(other, part.name))

    def means(self) -> np.ndarray:
        """Mean over attributes, one a prompt."""
        return np.array([score.mean for score in self.scores])

    def attribute(self, name: str) -> np.ndarray:
        """One attribute, for the prompts that have it (NaN elsewhere)."""
        return np.array([score.values().get(name, np.nan) for score in self.scores], dtype=float)

    def measure(self, name: str) -> np.ndarray:
        """One of `MEASURES`, a value a prompt."""
        if name == "score":
            return self.means()
        attribute = name.removeprefix("ideal_")
        return np.array([getattr(found, attribute) for found in self.fidelities])

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        made = cls(**content)
        made.scores = [AttributeScore(**score) for score in content["scores"]]
        made.fidelities = [Fidelity(**found) for found in content["fidelities"]]
        return made


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
    positions: Sequence[int] | None = None,
    shift: float | None = None,
) -> np.ndarray:
    """Generate one batch under a recipe, and add what came of it. A batch shares one switch.

    Args:
        outcome: what came of the batches so far.
        pipe: the demo pair's pipeline.
        recipe: as for `sraccel.compose`.
        scenes: of the captions.
        seeds: of the noise.
        steps: of the grid of noise levels.
        positions: of the steps in this grid; None: all.
        shift: the flow shift; None: the pair's own.

    Returns:
        The videos in [0, 1], of shape (prompts, frames, height, width, 3).
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with _grid(pipe, positions, shift):
        stack = sraccel.compose(pipe, [*recipe, CpuSeconds.Options()])
        stack.logs_warnings = False  # "never switched" is a result here
        with stack:
            frames: np.ndarray = pipe(
                prompt=[scene.caption for scene in scenes],
                num_inference_steps=steps,
                generator=generators,
                output_type="np",
            ).frames
    outcome.add(_outcome(frames, scenes, stack.report))
    return frames


def _grid(
    pipe: Any, positions: Sequence[int] | None, shift: float | None
) -> AbstractContextManager[Any]:
    """The pipeline with its steps placed, and its shift changed, where that is asked for."""
    if positions is None and shift is None:
        return nullcontext()
    return placed_steps(pipe, positions, **({} if shift is None else {"flow_shift": shift}))


def _outcome(frames: np.ndarray, scenes: list[Scene], report: Report) -> Outcome:
    """What came of one batch."""
    assert report.accelerated is not None
    calls = [call for step in report.steps for call in step.calls]
    videos = [(observe(frame), scene.caption) for frame, scene in zip(frames, scenes, strict=True)]
    return Outcome(
        scores=[score_video(seen, caption) for seen, caption in videos],
        fidelities=[fidelity(seen, caption) for seen, caption in videos],
        prompts=[len(scenes)],
        seconds=[report.accelerated.seconds],
        cpu_seconds=[report.accelerators[-1].notes["seconds"]],
        switch_steps=[report.switch_step],
        reused=[sum(call.reused for call in calls) / len(calls)],
        computed=[
            [step.index for step in report.steps if not all(call.reused for call in step.calls)]
        ],
        calls=[_calls(calls)],
    )


def _calls(calls: list[Any]) -> Calls:
    """Calls by kind."""
    kinds: Calls = {}
    for call in calls:
        kind = f"{call.denoiser} {'reused' if call.reused else 'computed'}"
        count, seconds = kinds.get(kind, (0, 0.0))
        kinds[kind] = count + 1, seconds + (call.seconds or 0.0)
    return kinds


def paired_interval(ours: np.ndarray, theirs: np.ndarray, level: float = 0.95) -> tuple[float, ...]:
    """Mean difference, and its bootstrap interval over prompts (both in score units)."""
    both = ~(np.isnan(ours) | np.isnan(theirs))
    difference = ours[both] - theirs[both]
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(difference), (BOOTSTRAPS, len(difference)))
    means = difference[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)
