"""The recipes that come with sraccel; a recipe is named by its file, without folder and suffix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sraccel.loop.hookspecs import hookimpl


@hookimpl
def sraccel_recipes() -> Iterable[Path]:
    """Every YAML file of this folder."""
    return sorted(Path(__file__).parent.glob("*.yaml"))
