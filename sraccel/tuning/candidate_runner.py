"""Candidates on a pipeline: composed, timed, and compared with the bare run of the same noise."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.comparison.paired_runs import finished
from sraccel.comparison.purity import Weights
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.errors import LoopError, ModelError, OutputError
from sraccel.study.cell import BARE as BARE_CELL
from sraccel.study.cell import Block
from sraccel.study.runs.judging import KeptFrames
from sraccel.text import printable
from sraccel.tuning.bench import Again, Begun, Take
from sraccel.tuning.candidate import BARE, Candidate, Missing
from sraccel.tuning.goal import Goal
from sraccel.tuning.store import TuningRun
from sraccel.video.frames import frames_of

if TYPE_CHECKING:
    import torch

    from sraccel.models.step_callback import Progress
    from sraccel.report.model import Report, Timing

WARM_UP_STEPS = 3


def _unheard(_: str) -> None:
    """Nobody asked."""


@dataclass
class CandidateRunner:
    """Runs candidates, one at a time.

    Attributes:
        pipe: the pipeline; it is as it was after every run.
        call: arguments that all runs share.
        goal: whose metric is measured.
        kept: where bare videos are.
        progress: hears of steps.
        bare_seconds: of bare runs on this device, by prompt; speedups are ratios to these.
        workers: how many runs are made at a time.
    """

    pipe: Any
    call: dict[str, Any]
    goal: Goal
    kept: KeptFrames
    progress: Progress | None = None
    bare_seconds: dict[str, float] = field(default_factory=dict)
    workers: int = 1
    _weights: Weights | None = field(default=None, init=False)

    def make(
        self, lines: Iterable[Iterator[Missing]], take: Take, again: Again, begun: Begun
    ) -> None:
        """As `Runner.make`: one line after the other."""
        for line in lines:
            for missing in line:
                take(missing, self.attempt(missing, begun))

    def attempt(self, missing: Missing, begun: Begun = _unheard) -> TuningRun | None:
        """Run a candidate; what it failed with is in its run, since another one may do.

        Args:
            missing: of which the bare run was asked for before.
            begun: hears of it, unless there is nothing to be run.

        Returns:
            the run; None where the bare one of the prompt was made here before.

        Raises:
            ModelError: the pipeline refuses the call, or returns no frames.
            PluginError: the candidate left the pipeline's weights changed.
            Exception: whatever else the bare pipeline raises.
        """
        candidate, block = missing
        if missing.is_bare and self._is_known(block):
            return None
        self._warm_up(block)
        begun(candidate.label)
        started = time.perf_counter()
        run = self._bare(block) if missing.is_bare else self._judged(candidate, block)
        assert self._weights is not None
        self._weights.check(self.pipe, [item["use"] for item in candidate.accelerators])
        run.spent = time.perf_counter() - started
        return run

    def _is_known(self, block: Block) -> bool:
        known = block.prompt in self.bare_seconds
        return known and self.kept.load(BARE_CELL, block) is not None

    def _bare(self, block: Block) -> TuningRun:
        run, frames = self._run(BARE, block)
        self.kept.save(BARE_CELL, block, frames)
        self.bare_seconds[block.prompt] = run.seconds or 0.0
        return run

    def _judged(self, candidate: Candidate, block: Block) -> TuningRun:
        try:
            run, frames = self._run(candidate, block)
            run.quality = self._quality(frames, block)
            run.bare_seconds = self.bare_seconds[block.prompt]
        except OutputError:
            raise
        except Exception as error:  # of any plugin: another candidate may do
            run = self._record(candidate, block)
            run.error = printable(f"{type(error).__name__}: {error}")
        return run

    def _quality(self, frames: torch.Tensor, block: Block) -> float:
        bare = self.kept.load(BARE_CELL, block)  # as it is compared after an interrupt, too
        if bare is None:
            raise LoopError("the bare video of this prompt is gone")
        if frames.shape != bare.shape:
            raise LoopError(f"its video is of {tuple(frames.shape)}, not {tuple(bare.shape)}")
        return float(self.goal.judge().compare(frames, bare))

    def _warm_up(self, block: Block) -> None:
        """A few bare steps, once; notes what the weights are."""
        if self._weights is not None:
            return
        self._weights = Weights.of(self.pipe)
        stack = compose(self.pipe, [])
        stack.logs_warnings = False
        steps = min(WARM_UP_STEPS, int(self.call["num_inference_steps"]))
        try:
            with stack:
                self._timed(block)("warming up", num_inference_steps=steps)
        except ValueError as error:
            raise ModelError(f"{type(self.pipe).__name__} refuses this call: {error}") from error

    def _run(self, candidate: Candidate, block: Block) -> tuple[TuningRun, torch.Tensor]:
        stack = compose(self.pipe, [dict(item) for item in candidate.accelerators])
        stack.logs_warnings = False
        with stack:
            output, _ = self._timed(block)(candidate.label)
        report = finished(stack.report)
        videos = frames_of(output)
        if videos is None:
            raise ModelError(
                f"{type(self.pipe).__name__} returned no frames, and tuning compares them: leave "
                f"`output_type` out of the call"
            )
        return self._record(candidate, block, report), videos[0].contiguous()

    def _timed(self, block: Block) -> TimedCall:
        return TimedCall(
            self.pipe, {**self.call, "prompt": block.prompt}, block.seed, self.progress
        )

    def _record(
        self, candidate: Candidate, block: Block, report: Report | None = None
    ) -> TuningRun:
        run = TuningRun(candidate=candidate.key, prompt=block.prompt, seed=block.seed, spent=0.0)
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
