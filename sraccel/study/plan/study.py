"""A study: a recipe, and how it is taken apart and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from sraccel.errors import Problem
from sraccel.recipe.prompts import PromptsError, read_prompts
from sraccel.recipe.reading.document import Document
from sraccel.recipe.reading.merged import Merged
from sraccel.recipe.reading.override import KEYS, RefusedError, assign, locate, override, read_value
from sraccel.recipe.reading.place import Location
from sraccel.recipe.reading.problems import path_of, short
from sraccel.recipe.recipe import Recipe, gather
from sraccel.study.plan.plan import Plan
from sraccel.study.plan.sweep import STUDY, SWEEP, flatten, problems_of_sweep, split_sweep

MOST_OF_DESIGN = {"full": 8, "order": 5}
"""Most accelerators: every one more doubles the runs of `full`, and multiplies those of `order`."""
RUNS_OF_DESIGN = {"full": "2^{count} subsets", "order": "{count}! orders"}


class Study(Recipe):
    """A recipe, and how it is taken apart and measured.

    Raises:
        RecipeError: on construction, with everything that is wrong at once.
    """

    study: Plan = Field(
        default_factory=Plan, description="How the recipe is taken apart and measured."
    )

    @classmethod
    def load(cls, source: Any, overrides: Sequence[str] = (), **options: Any) -> Self:
        """Make a study of a study, a recipe, a file, a mapping or a shipped name.

        Args:
            source: what the study is made of.
            overrides: as `--set` of `sraccel study` takes them: of several values
                (`srdiffusion.threshold=0.01,0.02`) a sweep is made, and a single one ends that
                option's sweep.
            options: keys of the section `study`, which go over the file's: `seeds=[0, 1]`. A file
                of prompts lies relative to the working directory. None is not given.

        Raises:
            RecipeError: as `Recipe.load`; what is wrong with an option is named as `--seeds`, say.
        """
        if isinstance(source, cls) and not (overrides or options):
            return source
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


def gather_study(
    source: Any, overrides: Sequence[str], options: Mapping[str, Any] | None = None
) -> Merged:
    """The content of a study, before it is checked; arguments and errors as `Study.load`."""
    merged = gather(source)
    if merged.content.get(STUDY) is None:
        merged.content[STUDY] = {}
    for name, value in (options or {}).items():
        # What is no section at all stays as it is, for the check to refuse.
        if value is not None and not isinstance(merged.content[STUDY], list | str | int | float):
            _put_option(merged, name, value)
    for text in overrides:
        _put_override(merged, text)
    return merged


def _put_option(merged: Merged, name: str, value: Any) -> None:
    """An option of the command line, as if a file said so."""
    document = Document("--" + name.replace("_", "-"), None)
    assign(merged, (STUDY, name), str(value) if isinstance(value, Path) else value, document)


def _put_override(merged: Merged, text: str) -> None:
    """A value, which ends a sweep of that option; or several that are swept."""
    path, values = split_sweep(text)
    swept = _swept(merged)
    if len(values) == 1 or path in KEYS:
        override(merged, [text])
        swept.pop(path, None)
        return
    document = Document(f"--set {text}", None)
    try:
        location, given = locate(merged, path), [read_value(value) for value in values]
        if location is not None:
            where = location if location[0] == STUDY else (*SWEEP, path)
            assign(merged, where, given, document)
    except RefusedError as refused:
        merged.problems.append(refused.problem(document))


def _swept(merged: Merged) -> dict[str, Any]:
    """The lists of values by option, as far as there are any; may be changed."""
    plan = merged.content[STUDY]
    sweep = plan.get("sweep") if isinstance(plan, dict) else None
    if not isinstance(sweep, dict):
        return {}
    flatten(merged)
    return sweep


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
