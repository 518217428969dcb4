"""The result of a bench: what each subset of a recipe's accelerators is worth on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sraccel.files import save_text
from sraccel.prediction.prediction import Memory, Seconds, Speedup

if TYPE_CHECKING:
    from rich.console import RenderableType


class Row(BaseModel):
    """One subset."""

    model_config = ConfigDict(extra="forbid")

    accelerators: list[str] = Field(description="Names, in order; empty: the bare pipeline.")
    seconds: Seconds | None = Field(None, description="Of the denoising loop.")
    speedup: Speedup | None = None
    switch_step: int | None = None
    skipped: dict[str, float] = Field(default_factory=dict)
    memory: Memory | None = None
    assumed: list[str] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
    refusal: str | None = Field(None, description="Why these do not go together alone.")


class Bench(BaseModel):
    """All subsets, fastest first; the bare pipeline leads."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

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

    def save(self, path: str | Path) -> Path:
        """Write the JSON to a file.

        Raises:
            OutputError: the file cannot be written.
        """
        return save_text(self.model_dump_json(indent=2) + "\n", path)

    def __rich__(self) -> RenderableType:
        from sraccel.prediction.bench_table import table

        return table(self)
