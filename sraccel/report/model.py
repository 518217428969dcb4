"""The report: what a run did, what it cost, and what was measured. Its JSON is a public format.

Whatever was not measured is null: a report without a bare run claims no speedup and no quality.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import to_json

from sraccel.files import save_text
from sraccel.report.origin import Origin
from sraccel.report.words import ASCII, each_text

if TYPE_CHECKING:
    from rich.console import RenderableType


def _from_null(value: Any, info: ValidationInfo) -> Any:
    """JSON has no NaN: `to_json` writes null."""
    return math.nan if value is None and info.mode == "json" else value


Number = Annotated[float, BeforeValidator(_from_null)]
"""A number that was measured, though what came out may be none (NaN)."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EvaluationRecord(_Part):
    """One evaluation of a denoiser."""

    branch: str = Field(description="Guidance branch: `cond`, `uncond`, or what the loop named it.")
    requested: str = Field(description="What the loop called: the pipeline's own word for it.")
    denoiser: str = Field(description="Role of the denoiser that answered.")
    chosen_by: str | None = Field(None, description="Accelerator that chose the denoiser.")
    reused: bool = Field(False, description="Whether a rule skipped the call, or its blocks.")
    reused_by: str | None = Field(None, description="Accelerator whose rule that was.")
    level: Literal["call", "blocks"] | None = Field(
        None, description="What it skipped: the whole call, or blocks within it."
    )
    predicted_by: str | None = Field(
        None, description="Accelerator that predicted what was skipped; null: the last was reused."
    )
    skips: dict[str, Number] = Field(
        default_factory=dict,
        description="Shares of its work that accelerators skipped by other means, by name.",
    )
    seconds: float | None = Field(None, description="Duration of the call, in seconds.")


class CallRecord(EvaluationRecord):
    """One call that the loop made, and what its answer was made of."""

    answered_by: str | None = Field(None, description="Accelerator that answered it otherwise.")
    evaluations: list[EvaluationRecord] = Field(
        default_factory=list, description="The calls of denoisers that its answer was made of."
    )


class StepRecord(_Part):
    """One step of the sampling loop."""

    index: int = Field(description="0-based position in this run.")
    solver_step: int | None = Field(
        None, description="Step of the solver; it may evaluate the model several times."
    )
    evaluation: int = Field(0, description="Which evaluation of that step this is; 0-based.")
    timestep: float | None = Field(None, description="The scheduler's timestep.")
    sigma: float | None = Field(None, description="The scheduler's noise level.")
    denoiser: str = Field(
        description="Role of the step's denoiser: `transformer`, `transformer_2`, `unet`, "
        "`denoiser` (a bare module), or what an accelerator brings (`render`)."
    )
    measured: dict[str, float | None] = Field(
        default_factory=dict, description="What accelerators measured, by a key of `columns`."
    )
    seconds: float | None = Field(None, description="From this step's beginning to the next's.")
    calls: list[CallRecord] = Field(default_factory=list)


class Timing(_Part):
    """Seconds of one way of running the pipeline; the median over repeats."""

    seconds: Number = Field(description="Denoising loop: first denoiser call to last step.")
    call_seconds: float | None = Field(None, description="The whole pipeline call.")
    cpu_seconds: float | None = Field(
        None, description="CPU time of the process in the loop, all threads."
    )
    repeats: list[Number] = Field(default_factory=list, description="The loop's seconds, each.")
    call_repeats: list[Number] = Field(
        default_factory=list, description="The whole call's seconds, each."
    )
    cpu_repeats: list[Number] = Field(
        default_factory=list, description="The loop's CPU seconds, each."
    )
    shown: int | None = Field(
        None,
        description="Which repeat the report's steps are of (0-based): the one nearest to the "
        "median.",
    )


Verdict = Literal["measured", "scattered", "indistinguishable", "idle"]
"""What can be claimed of a speedup: see `Speedup.verdict`."""


class Speedup(_Part):
    """Bare seconds over accelerated seconds, of the denoising loop."""

    measured: float | None = Field(None, description="Median over paired repeats.")
    measured_range: tuple[Number, Number] | None = Field(None, description="Least and greatest.")
    verdict: Verdict | None = Field(
        None,
        description="`measured`: the figure can be claimed. `scattered`: all pairs are on one side "
        "of 1, and differ by more than the effect. `indistinguishable`: noise is as large as the "
        "effect. `idle`: nothing was accelerated, so that the figure is noise.",
    )
    noise: float | None = Field(
        None,
        description="By which factor the same work varied: greatest over least of the pairs; of "
        "one pair, of the quarters of its bare run.",
    )
    cpu: float | None = Field(
        None, description="The same of CPU seconds, where the denoiser runs on the CPU."
    )
    whole_call: float | None = Field(None, description="The same for the whole pipeline call.")
    predicted: float | None = Field(
        None, description="From the decisions made and costs measured outside the accelerated run."
    )
    rest: float | None = Field(
        None, description="measured / predicted: overhead and interaction that the model misses."
    )


class CostRecord(_Part):
    """What a kind of call took, outside the accelerated run: what a prediction rests on."""

    denoiser: str = Field(description="Role of the model that answered.")
    skipped: Literal["call", "blocks"] | None = Field(
        None, description="What a rule skipped of it; null: nothing."
    )
    shares: dict[str, Number] = Field(
        default_factory=dict,
        description="What accelerators skipped of it by other means, as shares of the work.",
    )
    prepared_by: list[str] = Field(
        default_factory=list, description="Accelerators whose `prepare_denoiser` was in force."
    )
    call_seconds: list[Number] = Field(default_factory=list, description="Of each call.")
    rest_seconds: list[Number] = Field(
        default_factory=list,
        description="Of each step that ended with such a call, what it took beside its calls.",
    )


class AcceleratorRecord(_Part):
    """What one accelerator did and contributed."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    factor: float | None = Field(
        None, description="Its factor of the predicted speedup; null where it claims no speed."
    )
    overhead: float | None = Field(
        None, description="Factor of an accelerator that claims no speed (1: it cost nothing)."
    )
    estimated: bool = Field(False, description="Whether a cost behind the factor is an estimate.")
    claims_speed: bool = Field(True, description="Whether it says that it makes a run faster.")
    prepares: bool = Field(
        False, description="Whether it changes denoisers themselves, by `prepare_denoiser`."
    )
    prepare_seconds: float | None = Field(
        None,
        description="What preparing the pipeline and its denoisers took it on attaching, outside "
        "every timed call; null where it prepares nothing.",
    )
    chosen_calls: int = Field(0, description="Calls whose denoiser it chose.")
    reused_calls: int = Field(0, description="Calls that its rule skipped, or blocks of them.")
    predicted_calls: int = Field(0, description="Skipped calls that it predicted.")
    answered_calls: int = Field(0, description="Calls that it answered otherwise.")
    skipped_share: float | None = Field(
        None, description="Share of the run's work that it skipped by other means."
    )
    cache_bytes: int | None = Field(
        None, description="The most that it kept between two steps; null where it does not say."
    )
    notes: dict[str, Any] = Field(default_factory=dict, description="What it says of itself.")


class ColumnRecord(_Part):
    """What an accelerator measures at steps."""

    label: str = Field(description="Short, for a heading.")
    description: str = Field(description="What is measured, and in which unit.")


class HandoffRecord(_Part):
    """How one model's latents reached the next one at the switch, and what that cost.

    Noise levels are `b / (a + b)` of noisy latents `a * x0 + b * noise`: comparable between
    schedules, and flow matching's sigma.
    """

    kind: str = Field(
        description="`identity` (the same latents), `change of variables` (the same VAE, another "
        "scale or schedule) or `re-encode` (another VAE)."
    )
    noise_level_before: float | None = Field(None, description="Where the first model stopped.")
    noise_level_after: float | None = Field(None, description="Where the next one began.")
    first_step: int | None = Field(
        None, description="That place in the next pipeline's own schedule; 0-based."
    )
    seconds: float | None = Field(
        None, description="From the first pipeline's last step to the next one's first."
    )
    share: float | None = Field(None, description="`seconds` over the run's seconds.")
    decode_seconds: float | None = Field(None, description="Of these: the first pipeline's VAE.")
    encode_seconds: float | None = Field(None, description="Of these: the next pipeline's VAE.")


class RanksRecord(_Part):
    """The processes that made the video together, and what they agreed upon."""

    members: list[int] = Field(description="Global ranks; the decisions of the first one hold.")
    sequence: list[int] = Field(
        description="Of them, those that held parts of one sequence with this rank."
    )
    rank: int = Field(description="The rank that this report is of.")
    agreed: dict[str, int] = Field(
        default_factory=dict, description="How often each kind of thing was agreed upon."
    )
    overruled: int = Field(
        0, description="How often this rank's own answer was not the one that held."
    )


class RivalRecord(_Part):
    """Fewer steps of the bare model at the recipe's cost: what any recipe must be better than."""

    steps: int = Field(description="How many were taken.")
    placement: Literal["calibrated", "uniform"] = Field(
        description="`calibrated` for the model, or `uniform` on its grid where it has none."
    )
    seconds: Number = Field(description="Denoising loop, of one run.")
    speedup: float | None = Field(None, description="Bare seconds over these.")
    quality: dict[str, Number] | None = Field(
        None, description="By metric, against the bare run of the same seed."
    )


class Report(_Part):
    """One run of the sampling loop under a stack; with `compare`, beside bare runs."""

    schema_version: Literal[2] = 2
    outcome: str = Field(description="`finished`, `partial`, or `failed: <exception>`.")
    model: dict[str, Any] = Field(default_factory=dict, description="The target and its denoisers.")
    recipe: dict[str, Any] = Field(default_factory=dict)
    call: dict[str, Any] = Field(default_factory=dict, description="Arguments of the call.")
    num_inference_steps: int
    num_solver_steps: int | None = Field(
        None, description="Steps of the solver; fewer where it evaluates the model twice a step."
    )
    asked_steps: int | None = Field(
        None, description="Steps that the loop asked for, where an accelerator planned others."
    )
    planned_by: str | None = Field(None, description="That accelerator.")
    speedup: Speedup = Field(default_factory=Speedup)
    baseline: Timing | None = None
    accelerated: Timing | None = None
    quality: dict[str, Number] | None = Field(
        None, description="By metric (`psnr_db`, `ssim`), against the bare run of the same seed."
    )
    rival: RivalRecord | None = Field(
        None, description="Fewer steps at the same cost; null where no rival was asked for."
    )
    switch_step: int | None = Field(
        None, description="First step whose model an accelerator chose; 0-based."
    )
    handoff: HandoffRecord | None = Field(
        None, description="The hand-off at the switch; null where it was not recorded."
    )
    ranks: RanksRecord | None = Field(
        None, description="The ranks that made the video; null where one process did."
    )
    accelerators: list[AcceleratorRecord] = Field(default_factory=list)
    costs: list[CostRecord] = Field(
        default_factory=list, description="What `speedup.predicted` was computed from."
    )
    columns: dict[str, ColumnRecord] = Field(
        default_factory=dict, description="What `steps[].measured` holds, by `accelerator.column`."
    )
    steps: list[StepRecord] = Field(default_factory=list)
    peak_memory_bytes: int | None = Field(
        None, description="CUDA: peak allocated in the run. CPU: peak resident of the process."
    )
    warnings: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    origin: Origin | None = Field(
        None, description="What made the video; null where no command made it."
    )

    def to_json(self) -> str:
        """The report as indented JSON; `Report.from_json` reads it back.

        Infinity and NaN become null; where a number must be, null is read as NaN. What fits no
        JSON (an object in a plugin's notes) stands in it by its class, and text that is no Unicode
        by question marks: a report is never lost for them.
        """
        content = self.model_dump(mode="json", fallback=lambda value: f"<{type(value).__name__}>")
        return to_json(each_text(content, _unicode), indent=2, inf_nan_mode="null").decode()

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read a report that `to_json` wrote."""
        return cls.model_validate_json(text)

    def save(self, path: str | Path) -> Path:
        """Write the JSON to a file.

        Raises:
            OutputError: the file cannot be written.
        """
        return save_text(self.to_json() + "\n", path)

    def __rich__(self) -> RenderableType:
        from sraccel.report.table import table

        return table(self)

    def __str__(self) -> str:
        from sraccel.report.table import plain, table

        return plain(table(self), 100)

    def __repr__(self) -> str:
        chain = " + ".join(record.name for record in self.accelerators) or "empty"
        outcome = ": ".join(self.outcome.split(": ")[:2])  # an exception's kind, not its message
        parts = [f"{chain}: {outcome}", f"{len(self.steps)} of {self.num_inference_steps} steps"]
        if self.switch_step is not None:
            parts.append(f"switch at step {self.switch_step}")
        if self.speedup.measured is not None:
            from sraccel.report.claim import claim_alone

            parts.append(claim_alone(self.speedup).translate(ASCII))
        return f"Report({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from sraccel.report.notebook import report_html

        return report_html(self)


def _unicode(text: str) -> str:
    """The text with question marks for what no file can hold (lone surrogates)."""
    return text.encode("utf-8", "replace").decode()
