"""The result of a bench: what each subset of a recipe's accelerators is worth on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from sraccel.prediction.prediction import Memory, Part, Result, Seconds, Speedup

if TYPE_CHECKING:
    from rich.console import RenderableType


class Row(Part):
    """One subset."""

    accelerators: list[str] = Field(description="Names, in order; empty: the bare pipeline.")
    seconds: Seconds | None = Field(None, description="Of the denoising loop.")
    speedup: Speedup | None = None
    switch_step: int | None = None
    skipped: dict[str, float] = Field(default_factory=dict)
    memory: Memory | None = None
    assumed: list[str] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
    refusal: str | None = Field(None, description="Why these do not go together alone.")


class Bench(Result):
    """All subsets, fastest first; the bare pipeline leads."""

    schema_version: int = 1
    recipe: dict[str, Any]
    model: str
    sources: dict[str, str]
    call: dict[str, Any]
    dtype: str
    rows: list[Row]
    memory: Memory = Field(description="Of the whole recipe.")
    blocks: str
    rounds: int
    measured: list[str]
    assumed: list[str]
    left_out: list[str]
    warnings: list[str] = Field(default_factory=list)
    versions: dict[str, str]
    environment: dict[str, str]

    def __rich__(self) -> RenderableType:
        from sraccel.prediction.bench_table import table

        return table(self)
