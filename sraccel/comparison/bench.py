"""Running a pipeline bare and accelerated, side by side, and measuring both."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.comparison.costs import Costs, kinds_by_preparation, probe_for
from sraccel.comparison.prediction import Recorded, kinds_needed, predict
from sraccel.comparison.quality import quality_of
from sraccel.composer import compose, compose_accelerators
from sraccel.errors import LoopError
from sraccel.loop.clock import median
from sraccel.loop.stack import Stack
from sraccel.report.model import Report, Timing
from sraccel.video.frames import frames_of

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter

Progress = Callable[[str, int, int], object]
"""Called as `progress(description, steps_done, steps_in_all)` after each denoising step."""

Keep = Callable[[str, Any, Report], object]
"""Called as `keep("bare" or "accelerated", output, report)` after each timed run."""


@dataclass(frozen=True)
class Comparison:
    """A bare run beside an accelerated one.

    Attributes:
        report: of the accelerated run, with measured speedup, costs and quality filled in.
        bare_report: of the bare run.
        bare: what the pipeline returned without the recipe.
        accelerated: what it returned with it.
    """

    report: Report
    bare_report: Report
    bare: Any
    accelerated: Any

    def __repr__(self) -> str:
        return f"Comparison({self.report!r})"


def compare(
    pipe: Any,
    recipe: Any,
    *,
    seed: int = 0,
    repeats: int = 1,
    warmup: bool = True,
    progress: Progress | None = None,
    keep: Keep | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Comparison:
    """Run a pipeline bare and accelerated, with the same noise, and measure both.

    Runs alternate, so that a machine that slows down slows down both. The bare run is timed under
    an empty stack, which changes nothing (bit for bit) and costs microseconds a call.

    Args:
        pipe: a diffusers pipeline.
        recipe: anything that `sraccel.compose` takes.
        seed: of the noise; ignored if `call` has a `generator`, whose state is reused.
        repeats: pairs of runs to measure; the speedup is the median of their ratios.
        warmup: whether to run both for a few steps first.
        progress: told after each denoising step, where the pipeline takes a callback for it.
        keep: given each timed run's output at once, so that an interrupt loses little.
        adapters: as for `sraccel.compose`.
        call: the pipeline's arguments. With `output_type="latent"`, quality is not measured.

    Raises:
        RecipeError, ConflictError, ModelError: as `sraccel.compose`.
        LoopError: `repeats` is below 1, or a run did not finish.
    """
    if repeats < 1:
        raise LoopError(f"repeats must be 1 or more, not {repeats}")
    stack = compose(pipe, recipe, adapters=adapters)
    bench = Bench(pipe, stack, PipelineCall(pipe, call, seed, progress), keep, adapters)
    return bench.compare(repeats, warmup)


class PipelineCall:
    """The pipeline's call: the same noise every time, and progress told."""

    def __init__(
        self, pipe: Any, arguments: dict[str, Any], seed: int, progress: Progress | None
    ) -> None:
        import torch

        self._pipe = pipe
        parameters = inspect.signature(type(pipe).__call__).parameters
        self._progress = progress if "callback_on_step_end" in parameters else None
        self.arguments = dict(arguments)
        if self.arguments.get("generator") is None:
            self.arguments["generator"] = torch.Generator().manual_seed(seed)
            self.seed: int | None = seed
        else:
            self.seed = None
        generators = self.arguments["generator"]
        self._generators = generators if isinstance(generators, list) else [generators]
        self._states = [generator.get_state() for generator in self._generators]

    def __call__(
        self, description: str, run: Callable[..., Any] | None = None, **changes: Any
    ) -> tuple[Any, float]:
        """Run the pipeline (or `run`); returns its output and the seconds of the whole call."""
        for generator, state in zip(self._generators, self._states, strict=True):
            generator.set_state(state)
        arguments = {**self.arguments, **changes}
        if self._progress is not None:
            users = arguments.get("callback_on_step_end")
            told = _telling(self._progress, description, users, self._pipe)
            arguments["callback_on_step_end"] = told
        started = time.perf_counter()
        output = (run or self._pipe)(**arguments)
        _settle(self._pipe)
        return output, time.perf_counter() - started

    def describe(self) -> dict[str, Any]:
        """The arguments that fit JSON, and the seed."""
        plain = {
            name: value
            for name, value in self.arguments.items()
            if isinstance(value, (str, int, float, bool, type(None)))
            or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        }
        return {**plain, "seed": self.seed} if self.seed is not None else plain


def _telling(progress: Progress, description: str, users: Any, compared: Any) -> Any:
    """A step callback that tells progress and then calls the user's own, if any."""

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
        other = "" if pipe is compared else ", render pipeline"
        progress(description + other, step + 1, pipe.num_timesteps)
        return {} if users is None else users(pipe, step, timestep, tensors)

    return callback


def _settle(pipe: Any) -> None:
    import torch

    device = getattr(pipe, "_execution_device", None)
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class Bench:
    """Runs and their timings."""

    pipe: Any
    stack: Stack
    call: PipelineCall
    keep: Keep | None = None
    adapters: Sequence[DenoiserAdapter] = ()
    costs: Costs = field(default_factory=Costs)
    bare: list[Report] = field(default_factory=list)
    accelerated: list[Report] = field(default_factory=list)
    bare_call_seconds: list[float] = field(default_factory=list)
    accelerated_call_seconds: list[float] = field(default_factory=list)
    bare_output: Any = None
    accelerated_output: Any = None

    def compare(self, repeats: int, warmup: bool) -> Comparison:
        """Do everything."""
        if warmup:
            self.warm_up()
        for repeat in range(repeats):
            self.run_pair(repeat, repeats)
        self.probe()
        return self.comparison()

    def recorded(self) -> list[Recorded]:
        """The accelerators, asked after a run: preparing may show that one claims no speed."""
        preparing = self.stack.hooks.who("prepare_denoiser")
        return [
            Recorded(item.name, item.name in preparing, item.claims_speed)
            for item in self.stack.accelerators
        ]

    def bare_stack(self) -> Stack:
        """An empty stack on the pipeline; that nothing is accelerated needs no telling."""
        stack = compose(self.pipe, [], adapters=self.adapters)
        stack.logs_warnings = False
        return stack

    def warm_up(self) -> None:
        """A few steps each way: allocators, kernels and caches are then as in later runs."""
        steps = min(3, int(self.call.arguments.get("num_inference_steps", 3)))
        self.stack.logs_warnings = False
        for warmed in (self.bare_stack(), self.stack):
            with warmed:
                self.call("warming up", num_inference_steps=steps)
        self.stack.logs_warnings = True

    def run_pair(self, repeat: int, repeats: int) -> None:
        """One bare and one accelerated run; every other pair the other way round."""
        label = f" {repeat + 1}/{repeats}" if repeats > 1 else ""
        ways = [(self.run_bare, f"bare{label}"), (self.run_accelerated, f"accelerated{label}")]
        for run, description in ways if repeat % 2 == 0 else reversed(ways):
            run(description)

    def run_bare(self, description: str) -> None:
        """One run under an empty stack."""
        with self.bare_stack() as stack:
            self.bare_output, seconds = self.call(description)
        self.bare.append(finished(stack.report))
        self.bare_call_seconds.append(seconds)
        if self.keep is not None:
            self.keep("bare", self.bare_output, stack.report)
        self.costs.take(stack.report, ())

    def run_accelerated(self, description: str) -> None:
        """One run with the recipe."""
        with self.stack:
            output, seconds = self.call(description)
        self.take_accelerated(output, seconds, self.stack.report)

    def take_accelerated(self, output: Any, seconds: float, report: Report) -> None:
        """Note what an accelerated run gave."""
        self.accelerated_output = output
        self.accelerated.append(finished(report))
        self.accelerated_call_seconds.append(seconds)
        if self.keep is not None:
            self.keep("accelerated", output, report)

    def probe(self) -> None:
        """Measure the kinds of call that the bare run did not have."""
        needed = kinds_needed(self.accelerated[-1], self.recorded()) - self.costs.samples.keys()
        brought = self.stack.contributions
        # A denoiser that comes and goes may not fit beside the others: its costs are estimates.
        moving = {role for role, item in brought.items() if item.placement is not None}
        needed = {kind for kind in needed if kind.denoiser not in moving}
        brought = {role: item for role, item in brought.items() if role not in moving}
        for prepared_by, kinds in kinds_by_preparation(needed):
            schedule = [(kind.denoiser, kind.reused) for kind in kinds]
            preparing = [item for item in self.stack.accelerators if item.name in prepared_by]
            probe = probe_for(schedule, brought)
            with compose_accelerators(
                self.pipe, [*preparing, probe], adapters=self.adapters
            ) as stack:
                stack.logs_warnings = False
                self.call("probing costs", num_inference_steps=probe.steps)
            self.costs.take(stack.report, prepared_by)

    def comparison(self) -> Comparison:
        """Everything filled in."""
        report = self.accelerated[-1]
        report.call = self.call.describe()
        report.baseline = _timing(self.bare, self.bare_call_seconds)
        report.accelerated = _timing(self.accelerated, self.accelerated_call_seconds)
        self._measure_speedup(report)
        predict(report, self.recorded(), self.costs)
        if report.speedup.predicted and report.speedup.measured:
            report.speedup.rest = report.speedup.measured / report.speedup.predicted
        quality = quality_of(frames_of(self.accelerated_output), frames_of(self.bare_output))
        report.quality = quality.values or None
        report.warnings += quality.lacks.values()
        return Comparison(report, self.bare[-1], self.bare_output, self.accelerated_output)

    def _measure_speedup(self, report: Report) -> None:
        assert report.baseline is not None
        assert report.accelerated is not None
        pairs = zip(report.baseline.repeats, report.accelerated.repeats, strict=True)
        ratios = [bare / accelerated for bare, accelerated in pairs]
        report.speedup.measured = median(ratios)
        report.speedup.measured_range = (min(ratios), max(ratios))
        report.speedup.whole_call = median(
            bare / accelerated
            for bare, accelerated in zip(
                self.bare_call_seconds, self.accelerated_call_seconds, strict=True
            )
        )


def finished(report: Report) -> Report:
    """The report, if it is of a finished run; else LoopError."""
    if report.outcome != "finished":
        raise LoopError(f"a run to compare did not finish: {report.outcome}")
    return report


def _timing(reports: list[Report], call_seconds: list[float]) -> Timing:
    repeats = [report.accelerated.seconds for report in reports if report.accelerated is not None]
    return Timing(seconds=median(repeats), call_seconds=median(call_seconds), repeats=repeats)
