"""The option `--set` of commands that take a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME.OPTION=VALUE",
        help="Override a value of the recipe, as in `teacache.threshold=0.15` or "
        "`sampling.num_inference_steps=30`. May be repeated; the value is YAML, and checked as "
        "in a file.",
    ),
]
