"""Pairs of runs, one bare and one accelerated: made, timed, and put into one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.comparison.comparison import Comparison
from sraccel.comparison.costs import Costs, kinds_by_preparation, probe_for
from sraccel.comparison.prediction import Recorded, kinds_needed, predict
from sraccel.comparison.quality import quality_of
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.errors import LoopError
from sraccel.loop.clock import median
from sraccel.loop.stack import Stack
from sraccel.report.model import Report, Timing
from sraccel.video.frames import frames_of

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter

Keep = Callable[[str, Any, Report], object]
"""Called as `keep("bare" or "accelerated", output, report)` after each timed run."""


@dataclass
class PairedRuns:
    """The runs, their timings and what they cost."""

    pipe: Any
    stack: Stack
    call: TimedCall
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
        """Do everything.

        Raises:
            LoopError: `repeats` is below 1, or a run did not finish.
        """
        if repeats < 1:
            raise LoopError(f"repeats must be 1 or more, not {repeats}")
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
        """An empty stack on the pipeline; that nothing is accelerated needs no warning."""
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
            schedule = [(kind.denoiser, kind.skipped) for kind in kinds]
            preparing = [item for item in self.stack.accelerators if item.name in prepared_by]
            probe = probe_for(schedule, brought, self.stack.skipping.rule)
            with compose(self.pipe, [*preparing, probe], adapters=self.adapters) as stack:
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
