"""One run of a candidate: composed, timed, compared with the bare one, and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.comparison.paired_runs import finished
from sraccel.comparison.purity import Weights
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.errors import LoopError, ModelError, OutputError
from sraccel.study.cell import Block
from sraccel.study.runs.judging import KeptFrames
from sraccel.text import printable
from sraccel.tuning.candidate import BARE, Candidate
from sraccel.tuning.goal import Goal
from sraccel.tuning.store import TuningRun, TuningStore
from sraccel.tuning.watcher import Watcher
from sraccel.video.frames import frames_of

if TYPE_CHECKING:
    import torch

    from sraccel.report.model import Report, Timing

WARM_UP_STEPS = 3


@dataclass
class Bench:
    """Runs candidates on a pipeline, and remembers what was run.

    Attributes:
        pipe: the pipeline; it is as it was after every run.
        call: arguments that all runs share.
        goal: whose metric is measured.
        store: where runs are kept.
        kept: where bare videos are.
        blocks: by prompt, with its seed.
        watcher: hears of runs and steps.
    """

    pipe: Any
    call: dict[str, Any]
    goal: Goal
    store: TuningStore
    kept: KeptFrames
    blocks: dict[str, Block]
    watcher: Watcher
    _weights: Weights | None = field(default=None, init=False)

    def measured(self, candidate: Candidate, prompt: str) -> TuningRun:
        """What a candidate gives on a prompt: run now, unless it was run before."""
        known = self.store.find(candidate.key, prompt)
        if known is not None:
            return known
        bare = self._bare_frames(prompt)
        self._warm_up(prompt)
        self.watcher.run(candidate.label, self.store.spent)
        started = time.perf_counter()
        try:
            run, frames = self._run(candidate, prompt)
            run.quality = self._quality(frames, bare)
        except (KeyboardInterrupt, OutputError):
            raise
        except Exception as error:  # of any plugin: another candidate may do
            run = self._record(candidate, prompt)
            run.error = printable(f"{type(error).__name__}: {error}")
        self._check_bare(candidate)
        run.spent = time.perf_counter() - started
        return self.store.add(run)

    def bare_seconds(self, prompt: str) -> float:
        """Of the bare run of a prompt, which is made if it was not."""
        self._bare_frames(prompt)
        known = self.store.find(BARE.key, prompt)
        assert known is not None
        return known.seconds or 0.0

    def speedup(self, run: TuningRun) -> float:
        """Bare seconds over those of a finished run of the same prompt and noise."""
        return self.bare_seconds(run.prompt) / (run.seconds or 1e-9)

    def _bare_frames(self, prompt: str) -> torch.Tensor:
        block = self.blocks[prompt]
        frames = self.kept.load("bare", block)
        if frames is not None and self.store.find(BARE.key, prompt) is not None:
            return frames
        self._warm_up(prompt)
        self.watcher.run("bare", self.store.spent)
        started = time.perf_counter()
        run, frames = self._run(BARE, prompt)
        self.kept.save("bare", block, frames)
        run.spent = time.perf_counter() - started
        self.store.add(run)
        kept = self.kept.load("bare", block)  # as it is compared after an interrupt, too
        return frames if kept is None else kept

    def _warm_up(self, prompt: str) -> None:
        """A few bare steps, once; notes what the weights are, for `_check_bare`."""
        if self._weights is not None:
            return
        self._weights = Weights.of(self.pipe)
        stack = compose(self.pipe, [])
        stack.logs_warnings = False
        steps = min(WARM_UP_STEPS, int(self.call["num_inference_steps"]))
        try:
            with stack:
                self._timed(prompt)("warming up", num_inference_steps=steps)
        except ValueError as error:
            raise ModelError(f"{type(self.pipe).__name__} refuses this call: {error}") from error

    def _run(self, candidate: Candidate, prompt: str) -> tuple[TuningRun, torch.Tensor]:
        stack = compose(self.pipe, [dict(item) for item in candidate.accelerators])
        stack.logs_warnings = False
        with stack:
            output, _ = self._timed(prompt)(candidate.label)
        report = finished(stack.report)
        videos = frames_of(output)
        if videos is None:
            raise ModelError(
                f"{type(self.pipe).__name__} returned no frames, and tuning compares them: leave "
                f"`output_type` out of the call"
            )
        return self._record(candidate, prompt, report), videos[0].contiguous()

    def _timed(self, prompt: str) -> TimedCall:
        block = self.blocks[prompt]
        return TimedCall(self.pipe, {**self.call, "prompt": prompt}, block.seed, self.watcher.step)

    def _record(self, candidate: Candidate, prompt: str, report: Report | None = None) -> TuningRun:
        seed = self.blocks[prompt].seed
        run = TuningRun(candidate=candidate.key, prompt=prompt, seed=seed, spent=0.0)
        if report is None:
            return run
        calls = [call.reused for step in report.steps for call in step.calls]
        assert report.accelerated is not None
        run.seconds = self._loop_seconds(report.accelerated)
        run.peak_memory = report.peak_memory_bytes
        run.steps, run.reused, run.calls = len(report.steps), sum(calls), len(calls)
        run.switch_step = report.switch_step
        return run

    def _loop_seconds(self, timing: Timing) -> float:
        """CPU seconds where the model runs on the CPU: they leave out what other work takes."""
        if self.pipe.device.type == "cpu" and timing.cpu_seconds:
            return timing.cpu_seconds
        return timing.seconds

    def _quality(self, frames: torch.Tensor, bare: torch.Tensor) -> float:
        if frames.shape != bare.shape:
            raise LoopError(f"its video is of {tuple(frames.shape)}, not {tuple(bare.shape)}")
        return float(self.goal.judge().compare(frames, bare))

    def _check_bare(self, candidate: Candidate) -> None:
        """Raise PluginError if the candidate left the pipeline's weights changed."""
        assert self._weights is not None
        self._weights.check(self.pipe, [item["use"] for item in candidate.accelerators])


def blocks_of(prompts: Sequence[str], seed: int) -> dict[str, Block]:
    """Each prompt with a seed of its own."""
    return {prompt: Block(prompt, seed + number) for number, prompt in enumerate(prompts)}
