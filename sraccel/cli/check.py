"""`sraccel check`: everything that is wrong with a recipe, and what a model would say to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from sraccel.cli.failures import BAD_INPUT, Debug, reported
from sraccel.cli.options import Overrides
from sraccel.models.loading import DType
from sraccel.text import printable, shortened

if TYPE_CHECKING:
    from sraccel.errors import PluginError, Problem
    from sraccel.loop.finding import Finding
    from sraccel.recipe.reading.merged import Merged
    from sraccel.recipe.recipe import Recipe

LONGEST_LINE = 160
"""Characters of a line that are shown."""
MOST = 50
"""Errors that are shown with their lines."""
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}


def check(
    recipe: Annotated[
        str, typer.Argument(help="Recipe or study file, or name of a shipped recipe.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Also check whether the recipe goes with this model: a folder in diffusers' "
            "format, a name on the hub, or `demo`. No weights are loaded."
        ),
    ] = None,
    overrides: Overrides = None,
    dtype: Annotated[DType, typer.Option(help="With --model: precision of the weights.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Check a recipe, or a study file, without running it: every error at once, and warnings.

    With --model also: does the render model fit, are there coefficients, is there an attention
    kernel, is there room. Exit code 2 if something is wrong, 0 with warnings.
    """
    with reported(debug):
        valid, problems, findings = _check(recipe, overrides or [], model, dtype)
        if as_json:
            typer.echo(json.dumps(describe(valid, problems, findings), indent=2))
        else:
            _print(recipe, valid, problems, findings, checked_model=model is not None)
        if problems or any(finding.level == "error" for finding in findings):
            raise typer.Exit(BAD_INPUT)


def _check(
    source: str, overrides: Sequence[str], model: str | None, dtype: DType
) -> tuple[Recipe | None, list[Problem], list[Finding]]:
    from sraccel.check.recipe_check import check_recipe, placed
    from sraccel.errors import PluginError, RecipeError
    from sraccel.recipe.recipe import Recipe, gather
    from sraccel.study.plan.study import Study, gather_study
    from sraccel.study.plan.sweep import STUDY

    try:
        merged = gather(source, overrides)
        kind = Study if STUDY in merged.content else Recipe
        if kind is Study:
            merged = gather_study(source, overrides)
        recipe = kind.of(merged)
    except RecipeError as error:
        return None, error.problems, []
    except PluginError as error:  # of the one accelerator that is wrong
        return None, [_broken(error, merged, source)], []
    findings = check_recipe(recipe, merged)
    if model is not None and not any(finding.level == "error" for finding in findings):
        from sraccel.check.model_check import check_model

        found = check_model(recipe, model, dtype)
        if isinstance(recipe, Study):
            # Cells without one of two that conflict do run; those with both were reported.
            found = [finding for finding in found if len(finding.between) < 2]
        findings += placed(found, merged)
    return recipe, [], findings


def _broken(error: PluginError, merged: Merged, source: str) -> Problem:
    from sraccel.errors import Problem

    index = merged.position(error.accelerator or error.plugin or "")
    if index is None:
        return Problem("", str(error), file=source)
    file, mark = merged.place(("accelerators", index))
    line, column = mark or (None, None)
    return Problem(f"accelerators[{index}]", str(error), None, file or source, line, column)


def describe(
    recipe: Recipe | None, problems: Sequence[Problem], findings: Sequence[Finding]
) -> dict[str, Any]:
    """What was found, as plain data."""
    return {
        "valid": recipe is not None,
        "recipe": None if recipe is None else recipe.model_dump(mode="json"),
        "problems": [asdict(problem) for problem in problems],
        "findings": [asdict(finding) for finding in findings],
    }


def _print(
    source: str,
    recipe: Recipe | None,
    problems: Sequence[Problem],
    findings: Sequence[Finding],
    *,
    checked_model: bool,
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for problem in problems[:MOST]:
        console.print(_problem(problem))
    if len(problems) > MOST:
        console.print(f"and {len(problems) - MOST} more errors; --json lists them all")
    for finding in findings:
        console.print(_finding(finding))
    source = printable(source, kept="")
    levels = ["error"] * len(problems) + [finding.level for finding in findings]
    console.print(Text(f"{source}: {_summary(recipe, levels)}", style="bold"))
    if recipe is not None and recipe.model is not None and not checked_model:
        name = printable(recipe.model, kept="")
        console.print(Text(f"not checked with its model: --model {name} does that"))


def _summary(recipe: Recipe | None, levels: Sequence[str]) -> str:
    counts = [(level, levels.count(level)) for level in ("error", "warning")]
    said = [f"{count} {level}{'s' * (count > 1)}" for level, count in counts if count]
    chain = "" if recipe is None else " + ".join(item.use for item in recipe.accelerators)
    if "error" not in levels:
        said = [f"valid ({chain or 'empty'}{_studied(recipe)})", *said]
    return ", ".join(said)


def _studied(recipe: Recipe | None) -> str:
    """Of a study file: its design and how many ways of running that makes."""
    from sraccel.study.plan.design import cells_of
    from sraccel.study.plan.study import Study

    if not isinstance(recipe, Study):
        return ""
    return f"; study: {recipe.study.design}, {len(cells_of(recipe))} cells"


def _problem(problem: Problem) -> Text:
    """`recipe.yaml:3:5: error: accelerators[0].threshold: ...`, the line itself, who says so."""
    where = f"{printable(problem.place, kept='')}: " if problem.place else ""
    text = Text(where).append("error: ", STYLES["error"])
    if problem.path:
        text.append(f"{problem.path}: ", "bold")
    text.append(printable(problem.message))
    if excerpt := _excerpt(problem):
        text.append(excerpt, "dim")
    known = {"given": problem.given, "says": problem.plugin}
    if facts := ", ".join(f"{name} {value}" for name, value in known.items() if value is not None):
        text.append(f"\n    {facts}")
    return text


def _excerpt(problem: Problem) -> str:
    """The line, and a mark under the column; of nothing but a recipe's file."""
    from sraccel.files import read_bytes
    from sraccel.recipe.reading.document import LARGEST, looks_like_a_recipe

    if problem.file is None or problem.line is None:
        return ""
    try:
        if not looks_like_a_recipe(Path(problem.file)):
            return ""
        text = read_bytes(problem.file, LARGEST).decode("utf-8-sig", "backslashreplace")
        line = text.split("\n")[problem.line - 1].replace("\t", " ")
    except (OSError, ValueError, IndexError):
        return ""
    number, column = str(problem.line), problem.column or 1
    before = " " * len(printable(line[: column - 1], kept=""))
    shown = shortened(printable(line, kept=""), LONGEST_LINE)
    if len(before) > LONGEST_LINE:
        return f"\n    {number} | {shown}"
    return f"\n    {number} | {shown}\n    {' ' * len(number)} | {before}^"


def _finding(finding: Finding) -> Text:
    where = f"{printable(finding.place, kept='')}: " if finding.place else ""
    text = Text(where).append(f"{finding.level}: ", STYLES[finding.level])
    if finding.about:
        text.append(f"{finding.about}: ", "bold")
    return text.append(printable(finding.message))
