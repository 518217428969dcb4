"""Pairs of runs, one bare and one accelerated: made, timed, and put into one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sraccel.comparison.comparison import Comparison
from sraccel.comparison.costs import Costs, kinds_by_preparation
from sraccel.comparison.derived import derive, nearest_to_median
from sraccel.comparison.prediction import kinds_needed
from sraccel.comparison.probing import probed, staying, warm_up_brought
from sraccel.comparison.purity import Weights
from sraccel.comparison.quality import quality_of
from sraccel.comparison.rival import affordable_steps, placed, rival_recipe
from sraccel.comparison.timed_call import TimedCall
from sraccel.composer import compose
from sraccel.errors import ConflictError, LoopError, ModelError
from sraccel.loop.stack import Stack
from sraccel.models.step_callback import WARMING_UP
from sraccel.report.model import Report, RivalRecord, Timing
from sraccel.video.frames import frames_of

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter

Keep = Callable[[str, Any, Report], object]
"""Called as `keep("bare", "accelerated" or "rival", output, report)` after each timed run."""

BrokenOff = Callable[[Comparison], object]
"""Called with what the finished pairs say, where a comparison is broken off after the first."""


@dataclass
class PairedRuns:
    """The runs, their timings and what they cost."""

    pipe: Any
    stack: Stack
    call: TimedCall
    keep: Keep | None = None
    adapters: Sequence[DenoiserAdapter] = ()
    broken_off: BrokenOff | None = None
    weights: Weights | None = None
    rival: bool = False
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
            self.check_bare()
        try:
            for repeat in range(repeats):
                self.run_pair(repeat, repeats)
            self.probe()
            comparison = self.comparison()
            if self.rival:
                self.run_rival(comparison.report)
        except BaseException:  # Ctrl-C, too
            self._save_pairs(repeats)
            raise
        return comparison

    def _save_pairs(self, repeats: int) -> None:
        """Give `broken_off` what the pairs say that are finished, if there are any."""
        done = self.pairs
        if done and self.broken_off is not None:
            comparison = self.comparison()
            comparison.report.warnings.append(
                f"the comparison was broken off: it rests on {done} of {repeats} pairs of runs"
            )
            self.broken_off(comparison)

    @property
    def pairs(self) -> int:
        """How many pairs are finished."""
        return min(len(self.bare), len(self.accelerated))

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
                self.call(WARMING_UP, num_inference_steps=steps)
        if any(item.makes_claim("compilation") for item in self.stack.accelerators):
            warm_up_brought(self.call, self.pipe, self.stack, steps, WARMING_UP)
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
        self.check_bare()
        self.take_accelerated(output, seconds, self.stack.report)

    def check_bare(self) -> None:
        """Raise PluginError if the recipe left the pipeline's weights changed."""
        if self.weights is not None:
            self.weights.check(self.pipe, [item.name for item in self.stack.accelerators])

    def take_accelerated(self, output: Any, seconds: float, report: Report) -> None:
        """Note what an accelerated run gave."""
        self.accelerated_output = output
        self.accelerated.append(finished(report))
        self.accelerated_call_seconds.append(seconds)
        if self.keep is not None:
            self.keep("accelerated", output, report)

    def probe(self) -> None:
        """Measure the kinds of call that the bare run did not have."""
        needed = kinds_needed(self.accelerated[-1]) - self.costs.samples.keys()
        brought = staying(self.stack)  # costs of the others are estimates
        moving = self.stack.contributions.keys() - brought.keys()
        needed = {kind for kind in needed if kind.denoiser not in moving}
        for prepared_by, kinds in kinds_by_preparation(needed):
            report = probed(self.call, self.pipe, self.stack, prepared_by, kinds, brought)
            self.costs.take(report, prepared_by)

    def run_rival(self, report: Report) -> None:
        """One run of fewer, placed steps at the recipe's cost; the report gets what it gave.

        Where there can be none, the report says why: the comparison is done, and must not be lost.
        """
        number = affordable_steps(report)
        if number is None:
            report.warnings.append("no rival beside it: fewer steps would not be as slow")
            return
        try:
            record, output = self._rival(number)
        except (ConflictError, ModelError, LoopError) as error:
            report.warnings.append(f"no rival beside it: {error}")
            return
        assert report.baseline is not None
        record.speedup = report.baseline.seconds / record.seconds if record.seconds else None
        record.quality = quality_of(frames_of(output), frames_of(self.bare_output)).values or None
        report.rival = record

    def _rival(self, number: int) -> tuple[RivalRecord, Any]:
        steps, placement = placed(self.stack, number)
        recipe = rival_recipe(steps, placement)
        with compose(self.pipe, recipe, adapters=self.adapters) as stack:
            output, _ = self.call("fewer steps, placed")
        report = finished(stack.report)
        if self.keep is not None:
            self.keep("rival", output, report)
        seconds = _timing_of(report).seconds
        return RivalRecord(steps=len(report.steps), placement=placement, seconds=seconds), output

    def comparison(self) -> Comparison:
        """Everything filled in; the reports are of the runs nearest to the median."""
        bare, accelerated = self.bare[: self.pairs], self.accelerated[: self.pairs]
        report = _nearest(accelerated).model_copy(deep=True)
        report.call = self.call.describe()
        report.baseline = _timing(bare, self.bare_call_seconds)
        report.accelerated = _timing(accelerated, self.accelerated_call_seconds)
        report.costs = self.costs.records()
        quality = quality_of(frames_of(self.accelerated_output), frames_of(self.bare_output))
        report.quality = quality.values or None
        report.warnings += quality.lacks.values()
        derive(report)
        return Comparison(report, _nearest(bare), self.bare_output, self.accelerated_output)


def finished(report: Report) -> Report:
    """The report, if it is of a finished run; else LoopError."""
    if report.outcome != "finished":
        raise LoopError(f"a run to compare did not finish: {report.outcome}")
    return report


def _nearest(reports: list[Report]) -> Report:
    """That of the run nearest to the median."""
    return reports[nearest_to_median([_timing_of(report).seconds for report in reports])]


def _timing(reports: list[Report], call_seconds: list[float]) -> Timing:
    """The repeats; medians are derived from them."""
    timings = [_timing_of(report) for report in reports]
    return Timing(
        seconds=0.0,
        repeats=[timing.seconds for timing in timings],
        call_repeats=call_seconds[: len(reports)],
        cpu_repeats=[value for timing in timings for value in timing.cpu_repeats],
    )


def _timing_of(report: Report) -> Timing:
    """The timing of a finished run."""
    assert report.accelerated is not None  # it took steps
    return report.accelerated
