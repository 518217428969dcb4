"""What came out of a tuning, as data: `front.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sraccel.study.results import Estimate
from sraccel.tuning.candidate import Kind

Verdict = Literal["tuned", "shipped", "no difference", "trade", "not compared"]
"""Which is better on held-out prompts; `trade`: one is faster, the other one better."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Worst(_Part):
    """The prompt with the least quality."""

    prompt: str
    quality: float


class Cliff(_Part):
    """An option whose next value up or down costs much quality.

    Attributes:
        option: `teacache.threshold`.
        value, beside: of the point, and of its neighbour.
        quality, beside_quality: on the same prompts.
        prompts: how many these are.
    """

    option: str
    value: Any
    beside: Any
    quality: float
    beside_quality: float
    prompts: int


class Measured(_Part):
    """A candidate on held-out prompts.

    Attributes:
        name: of the recipe file, without its suffix; else what it is.
        held_out: how many prompts it rests on.
        chosen_speedup, chosen_quality: on the prompts that chose it; null where none did.
        meets: whether its quality, as a mean over the held-out prompts, and its memory are within
            the limits.
        peak_memory: bytes, the greatest of its runs; null where it was not measured.
        cliffs: null where they were not looked for.
    """

    name: str
    kind: Kind
    label: str
    accelerators: list[dict[str, Any]]
    speedup: Estimate
    quality: Estimate
    worst: Worst
    held_out: int
    meets: bool
    chosen_speedup: float | None = None
    chosen_quality: float | None = None
    peak_memory: int | None = None
    cliffs: list[Cliff] | None = None


class TriedPoint(_Part):
    """A candidate on the prompts that choose."""

    label: str
    speedup: float
    quality: float
    prompts: int


class Outcome(_Part):
    """A tuning, or what there is of it.

    Attributes:
        goal: as it was asked for.
        verdict: whether the tuned point or the shipped recipe is better; `said` in words.
        best: name of the tuned point that is compared: the fastest that is good enough.
        searched: accelerators and options; `left_out`: why others are not.
        failed: how many candidates did not finish.
        spent: seconds of all runs.
        complete: whether all phases were finished.
    """

    schema_version: Literal[1] = 1
    date: str
    goal: str
    memory: int | None
    verdict: Verdict
    said: str
    best: str | None
    points: list[Measured]
    tried: list[TriedPoint]
    searched: list[str]
    left_out: dict[str, str]
    failed: int
    spent: float
    complete: bool
    tuning_prompts: list[str]
    held_out_prompts: list[str]
    seed: int
    call: dict[str, Any]
    models: dict[str, dict[str, str | None]] = Field(description="With a checksum of each.")
    versions: dict[str, str]
    environment: dict[str, str]
    warnings: list[str] = []
