"""The recipes that come with sraccel, as YAML files.

A recipe's name is its file's, without folder and suffix. A new file here is found without being
listed.

Others use: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sraccel.plugin import hookimpl


@hookimpl
def sraccel_recipes() -> Iterable[Path]:
    """Every YAML file of this folder."""
    return sorted(Path(__file__).parent.glob("*.yaml"))
