"""The result: what a recipe would take and gain, and what that rests on. Its JSON is public."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sraccel.files import save_text
from sraccel.report.model import CostRecord

if TYPE_CHECKING:
    from rich.console import RenderableType


class Part(BaseModel):
    """Of what is saved as JSON; a public format."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Result(Part):
    """What is saved as a whole."""

    def save(self, path: str | Path) -> Path:
        """Write the JSON to a file.

        Raises:
            OutputError: the file cannot be written.
        """
        return save_text(self.model_dump_json(indent=2) + "\n", path)


class Seconds(Part):
    """Of the denoising loop; the range is over rounds of measurement."""

    value: float
    low: float
    high: float


class Speedup(Part):
    """Bare over accelerated seconds; the range is over rounds of measurement."""

    value: float
    low: float
    high: float
    if_the_switch_came: dict[int, float] = Field(
        default_factory=dict,
        description="The speedup at other first steps of the model that is brought, where the run "
        "decides.",
    )


class Factor(Part):
    """What an accelerator adds to those before it; the factors multiply to the speedup."""

    accelerator: str
    value: float
    claims_speed: bool = Field(description="False: it is a cost, of an emulated kernel, say.")


class Count(Part):
    """Calls of one kind in the bare and in the accelerated run, and what one takes."""

    what: str
    denoiser: str
    skipped: str | None
    prepared_by: list[str]
    bare_calls: int
    calls: int
    seconds: float = Field(description="Mean of a call in the middle round.")
    samples: int


class Memory(Part):
    """What the denoisers need, and what is free."""

    weights: dict[str, int] = Field(description="Bytes, by role.")
    needed: int = Field(
        description="Bytes on the device at the same time: weights, and on CUDA what calls took "
        "beside them."
    )
    free: int = Field(description="Bytes, before anything was built.")
    peak: int | None = Field(
        description="CUDA: bytes that the measurement allocated; CPU: of the process."
    )

    @property
    def fits(self) -> bool:
        """Whether what is needed is free."""
        return self.needed <= self.free


class Prediction(Result):
    """What a recipe would take and gain on this machine."""

    schema_version: int = 1
    recipe: dict[str, Any]
    accelerators: list[str] = Field(description="Names, in order.")
    model: str
    sources: dict[str, str] = Field(description="Where the configurations come from, by model.")
    call: dict[str, Any] = Field(description="Size, steps and guidance.")
    dtype: str
    steps: int = Field(description="That are taken.")
    switch_step: int | None = Field(description="First step of the model that is brought; 0-based.")
    skipped: dict[str, float] = Field(description="Share of a model's steps, by role.")
    bare: Seconds
    accelerated: Seconds
    speedup: Speedup
    factors: list[Factor]
    counts: list[Count]
    once: float = Field(
        description="Seconds that the first call under the recipe takes beyond later ones: "
        "compiling, allocating. Not in the other figures."
    )
    memory: Memory
    blocks: str = Field(description="`whole`, or how many blocks were built.")
    costs: list[CostRecord]
    measured: list[str]
    assumed: list[str]
    left_out: list[str]
    warnings: list[str] = Field(default_factory=list)
    versions: dict[str, str]
    environment: dict[str, str]

    def __rich__(self) -> RenderableType:
        from sraccel.prediction.table import table

        return table(self)
