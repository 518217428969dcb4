"""What a study found. Its JSON is a public format.

Whatever could not be estimated is null, and a reason stands beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sraccel.files import save_text

if TYPE_CHECKING:
    from rich.console import RenderableType

LEVEL = 0.95


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Estimate(_Result):
    """A value and its bootstrap interval over blocks, at the study's level."""

    value: float
    low: float | None = Field(description="Null of fewer than 3 blocks: these give no interval.")
    high: float | None


class Switch(_Result):
    """The first steps whose model an accelerator chose, over the runs of a cell; 0-based."""

    median: float | None = Field(None, description="Of the runs that switched.")
    least: int | None = None
    most: int | None = None
    never: int = Field(0, description="Runs that never switched.")


class CellResult(_Result):
    """One cell: what was run, how fast it is and what it keeps."""

    name: str
    kind: Literal["bare", "stack", "plain_steps"]
    accelerators: list[str] = Field(description="Names, in order.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Of a sweep.")
    num_inference_steps: int | None = None
    blocks: int = Field(0, description="Blocks (prompt and seed) with a finished run.")
    finished: int = Field(0, description="Runs, repeats included.")
    failed: int = 0
    errors: list[str] = Field(default_factory=list, description="Each once.")
    seconds: float | None = Field(None, description="Median of the denoising loop.")
    speedup: Estimate | None = Field(
        None, description="Geometric mean over blocks of bare seconds / its seconds; denoising."
    )
    whole_call: Estimate | None = Field(None, description="The same of the whole call.")
    quality: dict[str, Estimate] = Field(
        default_factory=dict, description="Mean over blocks, by metric."
    )
    loss: dict[str, Estimate] = Field(
        default_factory=dict, description="Mean over blocks of what is lost to bare, by metric."
    )
    reused: float | None = Field(None, description="Share of denoiser calls that were skipped.")
    switch: Switch | None = Field(None, description="Null where no run has a second model.")
    front: dict[str, float] = Field(
        default_factory=dict,
        description="By metric: share of the resamples in which no other cell is both faster and "
        "better.",
    )


class Effect(_Result):
    """A main effect (one accelerator) or an interaction (several).

    Of speed it is a factor: what turning the accelerator on multiplies the speedup by, or what
    having all of them multiplies the product of the lower effects by. Of a loss it is a
    difference: what is added to the loss.
    """

    accelerators: list[str]
    average: Estimate | None = Field(
        None, description="Averaged over the presence and absence of all the others."
    )
    alone: Estimate | None = Field(None, description="Where none of the others is there.")
    why: str | None = Field(None, description="Why an estimate is missing.")


class Pair(_Result):
    """How two accelerators go together, with none of the others there."""

    accelerators: tuple[str, str]
    index: Estimate | None = Field(
        None,
        description="Orthogonality: log S_AB / (log S_A + log S_B). 1: they add up; less: they "
        "lose to each other; null where neither one changes the speed enough to say.",
    )
    together: Estimate | None = Field(None, description="S_AB.")
    product: Estimate | None = Field(None, description="S_A * S_B.")
    kept: Estimate | None = Field(None, description="S_AB / (S_A * S_B).")
    best_single: Estimate | None = Field(
        None, description="S_AB over the faster one of the two alone; below 1 the pair is slower."
    )
    why: str | None = Field(None, description="Why an estimate is missing.")


class Combination(_Result):
    """Three accelerators or more together, and what fewer of them predict of it."""

    accelerators: list[str]
    together: Estimate | None = Field(None, description="Speedup of all of them.")
    product: Estimate | None = Field(None, description="Of the speedups of each one alone.")
    from_pairs: Estimate | None = Field(
        None,
        description="Predicted from each one alone and all pairs, as if no three interacted: the "
        "product of the pairs' speedups over that of the single ones' to the power n - 2.",
    )
    beside_product: Estimate | None = Field(None, description="together / product.")
    beside_pairs: Estimate | None = Field(None, description="together / from_pairs.")
    why: str | None = Field(None, description="Why the estimates are missing.")


class Share(_Result):
    """An accelerator's part of the full stack's speedup (or loss), by Shapley's value."""

    accelerator: str
    value: Estimate = Field(
        description="Speed: a factor; they multiply to the full stack's. Loss: a summand."
    )
    share: Estimate | None = Field(None, description="Of the whole; null where that is near 0.")


class Effects(_Result):
    """All that a factorial says of one outcome."""

    effects: list[Effect] = Field(default_factory=list, description="Main effects first.")
    shapley: list[Share] = Field(default_factory=list)
    shapley_why: str | None = Field(None, description="Why there is no attribution.")


class Order(_Result):
    """One accelerator before another, over the orders of a study of orders."""

    first: str
    second: str
    factor: Estimate | None = Field(
        None, description="Speedup with the first before the second / the reverse."
    )
    why: str | None = Field(None, description="Why the estimate is missing.")


class Analysis(_Result):
    """The figures."""

    level: float = LEVEL
    resamples: int
    blocks: int = Field(description="Blocks in which the bare pipeline has a finished run.")
    drawn: Literal["prompts", "blocks"] = Field(
        "blocks",
        description="What the bootstrap draws: whole prompts, with all of their seeds, or blocks "
        "where each prompt has one seed, or there are fewer than three prompts.",
    )
    cells: list[CellResult]
    speed: Effects = Field(default_factory=Effects)
    pairs: list[Pair] = Field(default_factory=list)
    combinations: list[Combination] = Field(
        default_factory=list,
        description="Of three accelerators or more, where each alone and all pairs were run.",
    )
    losses: dict[str, Effects] = Field(default_factory=dict, description="By metric.")
    orders: list[Order] = Field(default_factory=list)
    precision: float | None = Field(
        None,
        description="Widest of the main effects' intervals: half of its width, relative to the "
        "effect (0.02: give or take 2 %). Of a study without main effects, of the speedups.",
    )


class Timeline(_Result):
    """What a cell did, step by step, in the block that is shown."""

    cell: str = Field(description="Its name.")
    denoisers: list[str] = Field(description="Role of each step's denoiser.")
    reused: list[float] = Field(description="Share of each step's calls that were skipped.")
    seconds: list[float | None] = Field(description="Of each step.")
    switch_step: int | None = Field(
        None, description="First step whose model an accelerator chose; 0-based."
    )


class Showcase(_Result):
    """A block whose videos and timelines are shown."""

    prompt: str = Field(description="The block's.")
    seed: int = Field(description="The block's.")
    timelines: list[Timeline] = Field(default_factory=list, description="One for each cell.")
    videos: dict[str, str] = Field(
        default_factory=dict, description="Path of the MP4, relative to the report, by cell."
    )


class StudyReport(_Result):
    """A study: what was run, on what, and what came of it."""

    schema_version: Literal[1] = 1
    name: str = Field("", description="The study's own.")
    description: str = Field("", description="What it is for.")
    design: str = Field(
        description="Which cells: `full`, `one-at-a-time`, `pairs`, `order`, `sweep`."
    )
    prompts: list[str] = Field(description="Each with each seed is a block.")
    seeds: list[int] = Field(description="Of the starting noise.")
    repeats: int = Field(description="Rounds that were begun.")
    done: int = Field(
        description="Runs of those rounds that were made; failed ones count, repeated ones once."
    )
    planned: int = Field(description="Runs of the rounds that were begun.")
    stopped: str = Field(
        "",
        description="Why the last session ended: `precise`, `repeats`, `budget`, `interrupted` or "
        "`failed`; empty if it was killed.",
    )
    accelerators: list[str] = Field(description="Of the recipe, in order.")
    recipe: dict[str, Any] = Field(default_factory=dict, description="As it was checked.")
    call: dict[str, Any] = Field(default_factory=dict, description="Arguments that all runs share.")
    model: dict[str, Any] = Field(
        default_factory=dict,
        description="The pipeline's class; each part's class, dtype, checksum and set-up.",
    )
    versions: dict[str, str] = Field(default_factory=dict, description="Of Python and packages.")
    environment: dict[str, str] = Field(default_factory=dict, description="The machine.")
    devices: dict[str, int] = Field(
        default_factory=dict,
        description="How many runs each device finished; what is compared shares one.",
    )
    warnings: list[str] = Field(default_factory=list, description="What a reader must know first.")
    analysis: Analysis = Field(description="The figures.")
    showcases: list[Showcase] = Field(
        default_factory=list, description="Blocks whose videos and timelines are shown."
    )

    def save(self, path: str | Path) -> Path:
        """Write the JSON to a file.

        Raises:
            OutputError: the file cannot be written.
        """
        return save_text(self.model_dump_json(indent=2) + "\n", path)

    def __rich__(self) -> RenderableType:
        from sraccel.study.report.table import table

        return table(self)

    def __str__(self) -> str:
        from sraccel.report.table import plain
        from sraccel.study.report.table import table

        return plain(table(self), 120)

    def __repr__(self) -> str:
        chain = self.name or " + ".join(self.accelerators) or "empty"
        cells = f"{len(self.analysis.cells)} cells in {self.analysis.blocks} blocks"
        return f"StudyReport({chain}: {cells}, {self.done} of {self.planned} runs)"
