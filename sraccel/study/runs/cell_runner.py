"""The cells of a study on a pipeline: composed, warmed up, and run one at a time."""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sraccel.comparison.paired_runs import finished
from sraccel.comparison.probing import Probe
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.errors import ModelError, PluginError
from sraccel.loop.clock import median
from sraccel.models.arguments import check_arguments, defaults_of
from sraccel.models.checksum import weights_checksum
from sraccel.report.build import environment
from sraccel.report.origin import frames_sha256
from sraccel.study.cell import BARE, Block, Cell, CellRun, Wanted
from sraccel.text import printable
from sraccel.video.frames import frames_of

if TYPE_CHECKING:
    import torch

    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.stack import Stack
    from sraccel.report.model import Report

WARM_UP_STEPS = 3
"""Of each model of each cell, before anything is timed."""

OWN_ARGUMENTS = {
    "prompt", "prompt_embeds", "generator", "latents", "callback_on_step_end",
}  # fmt: skip
MANY = ("num_videos_per_prompt", "num_images_per_prompt")

StepProgress = Callable[[str, int, int], object]
"""Called as `progress(cell, steps_done, steps_in_all)`."""


@dataclass(frozen=True)
class FinishedRun:
    """A run as it came out.

    Attributes:
        record: for the store.
        frames: float32 in [0, 1], of shape (frames, channels, height, width); None if the pipeline
            returned none.
        report: of the run.
    """

    record: CellRun
    frames: torch.Tensor | None
    report: Report


Take = Callable[[Wanted, "FinishedRun | str"], object]
"""Called as `take(wanted, run)` when a run has ended; with the error's text if it failed."""


Again = Callable[[Wanted], Iterator[Wanted]]


class WarmUp(Probe):
    """Takes each of the models that accelerators bring for a few steps."""

    name = "warm-up"


@dataclass
class CellRunner:
    """Runs cells, one at a time.

    Attributes:
        pipe: the pipeline; it is as it was after every run.
        call: arguments that all runs share.
        stacks: by name of the cell.
        refused: why a cell cannot run at all, by its name.
        warm_step_seconds: of a step in the warm-up, where nothing is skipped and no model is
            switched, by name of the cell.
        warm_rest_seconds: of the rest of the call (text, decoding).
    """

    pipe: Any
    cells: Sequence[Cell]
    call: Mapping[str, Any]
    adapters: Sequence[DenoiserAdapter] = ()
    progress: StepProgress | None = None
    stacks: dict[str, Stack] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    warm_step_seconds: dict[str, float] = field(default_factory=dict)
    warm_rest_seconds: dict[str, float] = field(default_factory=dict)

    def compose(self) -> None:
        """Make the stack of each cell.

        Raises:
            SraccelError: the bare pipeline cannot be watched; what cannot be composed otherwise is
                noted in `refused`.
        """
        for cell in self.cells:
            try:
                stack = compose(self.pipe, cell.accelerators, adapters=self.adapters)
            except Exception as error:
                if cell.name == BARE:
                    raise
                self.refused[cell.name] = error_text(error)
            else:
                stack.logs_warnings = False  # "never switched" is a result here
                self.stacks[cell.name] = stack

    def warm_up(self, block: Block) -> None:
        """A few steps of each cell, so that allocators and kernels are as in later runs.

        Raises:
            ModelError: the bare pipeline refuses the call, or makes no frames.
            PluginError: an accelerator leaves the pipeline changed, so that no run would be bare.
            Exception: whatever else the bare pipeline raises.
        """
        before = self._bare_frames(block)
        for number, (name, stack) in enumerate(list(self.stacks.items())):
            self._report_progress("warming up", number, len(self.stacks))
            weights = self._weights()
            try:
                self._warm_up(name, stack, block)
            except Exception as error:
                if name == BARE:
                    raise
                self.refused[name] = error_text(error)
                del self.stacks[name]
            if self._weights() != weights:
                raise _polluted(f"{name} has changed the pipeline's weights")
        self._report_progress("warming up", 1, 1)
        after = self._bare_frames(block)
        # A pipeline that is never twice the same (some CUDA kernels) proves nothing.
        if after != before and self._bare_frames(block) == after:
            raise _polluted("after a few steps of each cell, the bare pipeline makes other frames")

    def _bare_frames(self, block: Block) -> str:
        """A checksum of what the bare pipeline makes in a few steps."""
        steps = min(WARM_UP_STEPS, self.steps(self._cell(BARE)))
        try:
            with self.stacks[BARE] as stack:
                output, _ = self._pipeline_call(block, None)(BARE, num_inference_steps=steps)
        except ValueError as error:
            raise ModelError(f"{type(self.pipe).__name__} refuses this call: {error}") from error
        stack.reports.clear()
        frames = frames_of(output)
        if frames is None:
            raise ModelError(
                f"{type(self.pipe).__name__} returned no frames, and a study compares them: leave "
                f"`output_type` out of the call"
            )
        return frames_sha256(frames)

    def _weights(self) -> dict[str, str | None]:
        """Checksums of the pipeline's denoisers and the rest of its models."""
        from torch import nn

        return {
            name: weights_checksum(part)
            for name, part in self.pipe.components.items()
            if isinstance(part, nn.Module)
        }

    def _warm_up(self, name: str, stack: Stack, block: Block) -> None:
        cell = self._cell(name)
        steps = min(WARM_UP_STEPS, self.steps(cell))
        changes = {**cell.sampling, "num_inference_steps": steps}
        with stack:
            _, seconds = self._pipeline_call(block, None)(name, **changes)
        report = _taken(stack)
        timed = [step.seconds for step in report.steps if step.seconds is not None]
        self.warm_step_seconds[name] = median(timed[1:] or timed)
        self.warm_rest_seconds[name] = max(seconds - sum(timed), 0.0)
        self._warm_up_brought(stack, block)

    def _warm_up_brought(self, stack: Stack, block: Block) -> None:
        """The denoisers that accelerators bring: a few steps do not reach a switch.

        (Not those that come and go: there may be no room for them beside the others.)
        """
        brought = {
            role: item for role, item in stack.contributions.items() if item.placement is None
        }
        if not brought:
            return
        names = stack.hooks.who("prepare_denoiser")
        preparing = [item for item in stack.accelerators if item.name in names]
        schedule = [(role, None) for role in brought for _ in range(WARM_UP_STEPS)]
        everything = [*preparing, WarmUp(schedule, brought)]
        with compose(self.pipe, everything, adapters=self.adapters) as warmed:
            warmed.logs_warnings = False
            self._pipeline_call(block, None)("warming up", num_inference_steps=len(schedule))

    def steps(self, cell: Cell) -> int:
        """Denoising steps of a cell."""
        call = {**defaults_of(self.pipe), **self.call, **cell.sampling}
        return int(call["num_inference_steps"])

    def warm_call_seconds(self, cell: Cell) -> float | None:
        """Seconds of a whole call by the warm-up, an upper end; None: it did not run there."""
        if cell.name not in self.warm_step_seconds or cell.name in self.refused:
            return None
        steps = self.steps(cell) * self.warm_step_seconds[cell.name]
        return self.warm_rest_seconds[cell.name] + steps

    def slow(self) -> list[str]:
        """Accelerators that claim no speed here; known once a stack was attached."""
        used = (item for stack in self.stacks.values() for item in stack.accelerators)
        return sorted({item.name for item in used if not item.claims_speed})

    def make(self, blocks: Iterable[Iterator[Wanted]], take: Take, again: Again) -> None:
        """Make the runs of blocks, one after the other.

        Args:
            blocks: the runs of each; the next one is asked for when the one before was taken.
            take: keeps what came of a run.
            again: what is missing of a block whose device is lost; not here.
        """
        for runs in blocks:
            for wanted in runs:
                take(wanted, self.attempt(wanted))

    def attempt(self, wanted: Wanted) -> FinishedRun | str:
        """Run a cell; of a run that failed, the error."""
        try:
            return self.run(*wanted)
        except Exception as error:  # of any plugin, or the pipeline: the others go on
            _free_memory()
            return error_text(error)

    def run(self, name: str, block: Block, repeat: int) -> FinishedRun:
        """Run a cell once.

        Raises:
            Exception: whatever comes out of the pipeline or an accelerator; the pipeline is as it
                was.
        """
        cell, stack = self._cell(name), self.stacks[name]
        started = datetime.now(UTC).isoformat(timespec="seconds")
        gc.collect()  # so that it does not fall into the one run or the other
        try:
            with stack:
                call = self._pipeline_call(block, self.progress)
                output, seconds = call(name, **cell.sampling)
        except BaseException:
            stack.reports.clear()
            raise
        report = finished(_taken(stack))
        report.call = call.describe()
        videos = frames_of(output)
        frames = None if videos is None else videos[0].contiguous()
        record = CellRun(
            cell=name,
            prompt=block.prompt,
            seed=block.seed,
            repeat=repeat,
            call_seconds=seconds,
            started=started,
            device=_device(stack),
            frames_sha256=None if frames is None else frames_sha256(frames),
            **_measured(report),
            warnings=[printable(text) for text in report.warnings] if cell.accelerators else [],
        )
        return FinishedRun(record, frames, report)

    def _pipeline_call(self, block: Block, progress: StepProgress | None) -> TimedCall:
        arguments = {**self.call, "prompt": block.prompt}
        return TimedCall(self.pipe, arguments, block.seed, progress)

    def _cell(self, name: str) -> Cell:
        return next(cell for cell in self.cells if cell.name == name)

    def _report_progress(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Python's garbage collector leaves alone what is there now, so that collecting is quick."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _free_memory() -> None:
    """After an error, which may have been a lack of it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device(stack: Stack) -> str:
    """What a stack runs on, so that it is told from the others of its machine and of others."""
    import torch

    device = stack.device
    name = environment(device)["device"]
    if device.type == "cuda":
        name += f" {torch.cuda.get_device_properties(device).uuid}"
    return f"{name} on {platform.node()}"


def _taken(stack: Stack) -> Report:
    """The report of the run that ended; the stack, which lives long, forgets it."""
    report = stack.report
    stack.reports.clear()
    return report


def _measured(report: Report) -> dict[str, Any]:
    """What a run's record has of its report."""
    assert report.accelerated is not None
    calls = [call.reused for step in report.steps for call in step.calls]
    return {
        "seconds": report.accelerated.seconds,
        "reused_calls": sum(calls),
        "calls": len(calls),
        "switch_step": report.switch_step,
        "steps": report.num_inference_steps,
    }


def error_text(error: Exception) -> str:
    """An error as a study records it."""
    return printable(f"{type(error).__name__}: {error}")


def _polluted(what: str) -> PluginError:
    return PluginError(
        f"{what}: an accelerator does not put back what it changed, so that no later run would be "
        f"bare. Load the pipeline anew, and leave that accelerator out"
    )


def check_call(pipe: Any, call: Mapping[str, Any]) -> None:
    """Refuse arguments that a study gives itself, or cannot give meaning to.

    Raises:
        ModelError: naming them.
    """
    if not hasattr(pipe, "scheduler"):
        raise ModelError(f"a study runs a diffusers pipeline, not a {type(pipe).__name__}")
    if taken := OWN_ARGUMENTS & call.keys():
        raise ModelError(
            f"a study gives prompt and noise itself: leave {', '.join(sorted(taken))} out of the "
            f"call"
        )
    if many := [name for name in MANY if call.get(name, 1) != 1]:
        raise ModelError(f"a run of a study makes one video: leave out {many[0]}")
    check_arguments(pipe, {"prompt", *call})
