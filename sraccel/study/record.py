"""What is known of one run of a study."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Block(NamedTuple):
    """What all cells of a block share: the prompt, and the noise."""

    prompt: str
    seed: int


class RunRecord(BaseModel):
    """One run: which cell, of which block, for the how manyeth time; and what came of it."""

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
