"""The section `study` of a study file: what is run, how often, and when that is enough."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sraccel.loop.numbers_only import NoBooleans

Design = Literal["full", "one-at-a-time", "pairs", "order", "sweep"]

UNITS = {"h": 3600, "m": 60, "s": 1}
NUMBER = r"\d+(?:\.\d+)?"
PATTERN = r"^\s*" + "".join(rf"(?:({NUMBER})\s*{unit}\s*)?" for unit in UNITS) + "$"
AS_JSON = r"^(?=.*[1-9])" + "".join(rf"({NUMBER}{unit})?" for unit in UNITS) + "$"
FORM = "a time is given as 90s, 30m, 2h or 1h30m, or in seconds as a number"


def _no_boolean(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError(f"{str(given).lower()} is not a number")
    return given


def _listed(given: Any) -> Any:
    """A number is a list of one; `0,1,2` is a list, too."""
    if isinstance(given, str):
        return given.split(",")
    return [given] if isinstance(given, int) and not isinstance(given, bool) else given


def _once(given: list[Any]) -> list[Any]:
    """Each once: what is there twice would be measured twice, and counted as more evidence."""
    return list(dict.fromkeys(given))


def _seconds(given: Any) -> float:
    """Of `90s`, `30m`, `2h`, `1h30m`, or a number of seconds."""
    seconds = _number(given)
    if seconds is None and isinstance(given, str):
        found = re.match(PATTERN, given.lower())
        if found is not None and any(found.groups()):
            pairs = zip(found.groups("0"), UNITS.values(), strict=True)
            seconds = sum(float(count) * unit for count, unit in pairs)
    if seconds is None or not math.isfinite(seconds):
        raise ValueError(FORM)
    if seconds <= 0:
        raise ValueError(f"a time must be above 0; {FORM}")
    return seconds


def _number(given: Any) -> float | None:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        return float(given)
    except (ValueError, OverflowError):
        return None


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": AS_JSON},
            ],
            "examples": ["90s", "30m", "1h30m"],
        }
    ),
]
Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Prompts = Annotated[
    list[Prompt],
    AfterValidator(_once),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "pattern": r"\S"}},
            ]
        }
    ),
]
Seed = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_no_boolean)]
Steps = Annotated[int, Field(ge=1), BeforeValidator(_no_boolean)]
Values = Annotated[list[Any], Field(min_length=1)]


class Plan(NoBooleans):
    """The section `study`: what is run, how often, and when that is enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: Prompts = Field(
        default_factory=list,
        description="What to show: a text file, a prompt a line; # begins a comment. A study file "
        "names it relative to itself, or lists the prompts.",
    )
    seeds: Annotated[list[Seed], BeforeValidator(_listed), AfterValidator(_once)] = Field(
        [0],
        min_length=1,
        description="Seeds of the starting noise, each with each prompt, as in `0,1,2`.",
    )
    design: Design = Field(
        "full",
        description="Which cells are run. `full`: all subsets of the accelerators; "
        "`one-at-a-time`: each alone, and all; `pairs`: each alone, all pairs, and all; `order`: "
        "all of them in every order; `sweep`: all of them with every combination of the values to "
        "sweep. Default: `sweep` where there are such values, else `full`.",
    )
    sweep: dict[str, Values] = Field(
        default_factory=dict,
        description="Lists of values by option, as in `srdiffusion.threshold: [0.01, 0.02]` or "
        "`sampling.num_inference_steps: [50, 25]`.",
    )
    plain_steps: Annotated[list[Steps], BeforeValidator(_listed), AfterValidator(_once)] = Field(
        default_factory=list,
        description="Fewer denoising steps without accelerators, to compare with, as in `25,17`.",
    )
    repeats: int = Field(
        5, ge=1, description="Rounds at most; a round runs each cell once in each block."
    )
    precision: float = Field(
        0.02,
        ge=0,
        allow_inf_nan=False,
        description="Enough when the intervals of the main effects are this narrow (0.02: give or "
        "take 2 %); 0 is never enough.",
    )
    budget: Seconds | None = Field(
        None,
        description="Measure no longer than this, after loading and warming up: `90s`, `30m`, "
        "`1h30m`, or seconds. Default: no limit.",
    )
    show: int = Field(
        1,
        ge=0,
        description="Blocks (prompt and seed) whose videos and timelines are kept; raised later, "
        "the videos come with the next round.",
    )

    @model_validator(mode="before")
    @classmethod
    def _designed(cls, given: Any) -> Any:
        """Without a design, there being a sweep says it."""
        if isinstance(given, Mapping) and given.get("design") is None:
            return {**given, "design": "sweep" if given.get("sweep") else "full"}
        return given

    @field_validator("sweep", mode="before")
    @classmethod
    def _null_is_none(cls, given: Any) -> Any:
        return {} if given is None else given
