"""A cell of a study, one way of running the pipeline; a block; and a run of a cell in a block."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

BARE = "bare"


class Cell(BaseModel):
    """One way of running the pipeline.

    Cells of a study differ in their accelerators, in the order of these, in an option, or in an
    argument of the call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str = Field(description="Unique in the study: `srdiffusion + teacache`.")
    kind: Literal["bare", "stack", "plain_steps"] = Field(
        description="`bare`: nothing is accelerated; `stack`: accelerators of the recipe; "
        "`plain_steps`: nothing but fewer denoising steps."
    )
    accelerators: list[Any] = Field(
        default_factory=list,
        description="Options of each, in order; of a study that was read from its folder, as JSON.",
    )
    sampling: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the call that go over the study's."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Of a sweep: value by `NAME.OPTION`."
    )

    @property
    def uses(self) -> tuple[str, ...]:
        """Names of the accelerators, in order."""
        return tuple(
            item["use"] if isinstance(item, dict) else item.use for item in self.accelerators
        )

    def describe(self) -> dict[str, Any]:
        """All that decides what it computes, as JSON."""
        return self.model_dump(mode="json", fallback=lambda value: f"<{type(value).__name__}>")


class Block(NamedTuple):
    """What all cells of a block share: the prompt, and the noise."""

    prompt: str
    seed: int


class Wanted(NamedTuple):
    """A run that is to be made: which cell, in which block, in which round (0-based)."""

    cell: str
    block: Block
    repeat: int


class CellRun(BaseModel):
    """One run: which cell, in which block, in which round; and what came of it."""

    model_config = ConfigDict(extra="forbid")

    cell: str = Field(description="Name of the cell.")
    prompt: str
    seed: int
    repeat: int = Field(0, ge=0, description="0-based round in which it was made.")
    outcome: Literal["finished", "failed"] = "finished"
    error: str | None = Field(None, description="Of a failed run: class and message.")
    seconds: float | None = Field(None, description="Of the denoising loop.")
    call_seconds: float | None = Field(None, description="Of the pipeline's whole call.")
    started: str = Field("", description="UTC, ISO 8601.")
    session: int = Field(
        0, description="1 for the first start of the study that came to a run, 2 for the next one."
    )
    device: str = Field("", description="What it ran on: kind, name and machine.")
    frames_sha256: str | None = Field(None, description="Checksum of the frames.")
    quality: dict[str, float] = Field(
        default_factory=dict,
        description="By metric; of a cell's first finished run in a block alone.",
    )
    reused_calls: int = Field(0, description="Denoiser calls whose block stack was skipped.")
    calls: int = Field(0, description="All denoiser calls.")
    switch_step: int | None = Field(None, description="First step of the render model; 0-based.")
    steps: int = Field(0, description="Denoising steps.")
    warnings: list[str] = Field(default_factory=list, description="Of the run's report.")

    @property
    def block(self) -> Block:
        """The prompt and seed."""
        return Block(self.prompt, self.seed)
