"""Which options of `sraccel generate` go together, and what it cannot do without."""

from __future__ import annotations

from collections.abc import Mapping

import typer

RUNS = ("--until-switch", "--resume", "--from")
"""Each says where a run begins or ends; only one of them can."""
ONE_VIDEO = ("--prompt", "--from", "--compare", "--until-switch", "--resume")
"""What says of one video what `--prompts` says of many, or is for one only."""


def check_options(options: Mapping[str, object]) -> None:
    """Refuse options that do not go together, or lack another one.

    Args:
        options: values by name (`recipe`, `--out`); None or False where one is not given.

    Raises:
        BadParameter: naming them.
    """
    given = {name for name, value in options.items() if value not in (None, False)}
    _refuse_pairs(given)
    if not given & {"recipe", "--from", "--resume"}:
        raise typer.BadParameter("give a recipe, or an earlier run with --from")
    if not given & {"--prompt", "--prompts", "--from", "--resume"}:
        raise typer.BadParameter("give a --prompt, or a file of them with --prompts")
    if not given & {"--out", "--until-switch"}:
        raise typer.BadParameter("give a folder for the results with --out")


def _refuse_pairs(given: set[str]) -> None:
    runs = [name for name in RUNS if name in given]
    if len(runs) > 1:
        raise typer.BadParameter(f"{' and '.join(runs)} do not go together")
    if "--compare" in given and runs and runs != ["--from"]:
        raise typer.BadParameter(f"{runs[0]} makes half a run: --compare takes whole ones")
    if "--rival" in given and "--compare" not in given:
        raise typer.BadParameter("--rival goes with --compare: it stands beside the comparison")
    if "--workers" in given and "--executor" not in given:
        raise typer.BadParameter("--workers goes with --executor ray")
    if "--executor" in given and "--prompts" not in given:
        raise typer.BadParameter("--executor ray takes many prompts: a file of them, --prompts")
    single = [name for name in ONE_VIDEO if name in given]
    if "--prompts" in given and single:
        raise typer.BadParameter(f"--prompts and {single[0]} do not go together")
