"""A study file: a recipe, and how it is taken apart and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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

from sraccel.errors import Problem
from sraccel.loop.numbers_only import NoBooleans
from sraccel.recipe.prompts import PromptsError, read_prompts
from sraccel.recipe.reading.document import Location
from sraccel.recipe.reading.merged import Merged
from sraccel.recipe.reading.problems import path_of, short
from sraccel.recipe.recipe import Recipe
from sraccel.study.plan.duration import Seconds
from sraccel.study.plan.given import gather_study
from sraccel.study.plan.sweep import STUDY, SWEEP, flatten, problems_of_sweep

Design = Literal["full", "one-at-a-time", "pairs", "order", "sweep"]
MOST_OF_DESIGN = {"full": 8, "order": 5}
"""Most accelerators: every one more doubles the runs of `full`, and multiplies those of `order`."""
RUNS_OF_DESIGN = {"full": "2^{count} subsets", "order": "{count}! orders"}


def _one_or_many(given: Any) -> Any:
    return [given] if isinstance(given, int) and not isinstance(given, bool) else given


def _no_boolean(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError(f"{str(given).lower()} is not a number")
    return given


def _once(given: list[Any]) -> list[Any]:
    """Each once: what is there twice would be measured twice, and counted as more evidence."""
    return list(dict.fromkeys(given))


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
        description="What to show: a text file (relative to the file that says so), a prompt a "
        "line, # begins a comment; or a list of texts.",
    )
    seeds: Annotated[list[Seed], BeforeValidator(_one_or_many), AfterValidator(_once)] = Field(
        [0], min_length=1, description="Seeds of the starting noise, each with each prompt."
    )
    design: Design = Field(
        "full",
        description="`full`: all subsets of the accelerators; `one-at-a-time`: each alone, and "
        "all; `pairs`: each alone, all pairs, and all; `order`: all of them in every order; "
        "`sweep`: all of them with every combination of the values in `sweep`. Left out: `sweep` "
        "where there is one, else `full`.",
    )
    sweep: dict[str, Values] = Field(
        default_factory=dict,
        description="Lists of values by option, as in `srdiffusion.threshold: [0.01, 0.02]` or "
        "`sampling.num_inference_steps: [50, 25]`.",
    )
    plain_steps: Annotated[list[Steps], BeforeValidator(_one_or_many), AfterValidator(_once)] = (
        Field(
            default_factory=list,
            description="Fewer denoising steps to run without accelerators, for comparison.",
        )
    )
    repeats: int = Field(5, ge=1, description="Rounds at most; a round runs each cell once.")
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
        description="Of how many blocks (prompt and seed) videos and timelines are kept; raised "
        "later, the videos come with the next round.",
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


class Study(Recipe):
    """A recipe, and how it is taken apart and measured.

    Raises:
        RecipeError: on construction, with everything that is wrong at once.
    """

    study: Plan = Field(
        default_factory=Plan, description="How the recipe is taken apart and measured."
    )

    @classmethod
    def given(
        cls,
        source: Any,
        overrides: Sequence[str] = (),
        *,
        prompts: str | Path | Sequence[str] | None = None,
        seeds: str | Sequence[int] | None = None,
        design: str | None = None,
        plain_steps: str | Sequence[int] | None = None,
        repeats: int | None = None,
        precision: float | None = None,
        budget: str | float | None = None,
        show: int | None = None,
    ) -> Self:
        """As `load`, with what a command line gives over the file's; None is not given.

        Args:
            source: what the study is made of: a study, a recipe, a file, a mapping, a name.
            overrides: as `load`; of several values (`srdiffusion.threshold=0.01,0.02`) a sweep is
                made, and a single one ends that option's sweep.
            prompts: a file, relative to the working directory, or a list of texts.
            seeds: a list, or text such as `0,1`; `plain_steps` likewise.

        Raises:
            RecipeError: as `load`; what is wrong with an option is told as of `--seeds`, say.
        """
        options = {
            "prompts": prompts,
            "seeds": seeds,
            "design": design,
            "plain_steps": plain_steps,
            "repeats": repeats,
            "precision": precision,
            "budget": budget,
            "show": show,
        }
        return cls.of(gather_study(source, overrides, options))

    @classmethod
    def _prepared(cls, merged: Merged) -> Merged:
        made = merged.copy()
        plan = made.content.get(STUDY)
        if plan is None or isinstance(plan, Plan):  # None: also a key with nothing below it
            plan = {} if plan is None else plan.model_dump(exclude_unset=True)
            made.put((STUDY,), plan, *made.origin((STUDY,)))
        if isinstance(plan, dict):
            _read_prompts(made, plan)
            made.problems += _problems_of_design(made, plan)
            if isinstance(plan.get("sweep"), dict):
                flatten(made)
                made.problems += problems_of_sweep(made)
        return made


def _read_prompts(merged: Merged, plan: dict[str, Any]) -> None:
    """Put the prompts of a file in the place of its name."""
    given, where = plan.get("prompts"), (STUDY, "prompts")
    if not isinstance(given, str):
        return
    document, there = merged.origin(where)
    prompts: list[str] = []
    try:
        prompts = read_prompts(document.folder / given)
    except PromptsError as error:
        merged.problems.append(_problem(merged, where, str(error), given))
    merged.put(where, prompts, document, there)


def _problems_of_design(merged: Merged, plan: dict[str, Any]) -> Iterator[Problem]:
    count, steps = len(merged.uses()), plan.get("plain_steps")
    if not (merged.content.get("accelerators", []) or steps or merged.incomplete):
        yield _problem(
            merged,
            (),
            "there is nothing to study: the recipe lists no accelerator, and no `plain_steps` "
            "are given",
        )
    design, sweep = plan.get("design"), plan.get("sweep")
    where, given = (STUDY, "design"), design or ("sweep" if sweep else "full")
    for limited, most in MOST_OF_DESIGN.items():
        if given == limited and count > most:
            runs = RUNS_OF_DESIGN[limited].format(count=count)
            message = (
                f"{count} accelerators make {runs} for each prompt and seed; at most {most} are "
                "possible: take `pairs` or `one-at-a-time`, or a recipe with fewer"
            )
            yield _problem(merged, where, message)
    if given == "sweep" and sweep in (None, {}):
        example = "`srdiffusion.threshold: [0.01, 0.02]` (--set srdiffusion.threshold=0.01,0.02)"
        yield _problem(merged, where, f"nothing is swept: give a list of values, as in {example}")
    elif sweep and given != "sweep":
        message = f"only the design `sweep` takes values, not {given!r}: leave one of them out"
        yield _problem(merged, SWEEP, message)


def _problem(merged: Merged, where: Location, message: str, given: Any = None) -> Problem:
    file, mark = merged.place(where)
    line, column = mark or (None, None)
    shown = None if given is None else short(given)
    return Problem(path_of(where), message, shown, file, line, column)
