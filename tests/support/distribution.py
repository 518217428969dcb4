"""Distributions as an installer leaves them, whose plugins are found and imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def make_distribution(folder: Path, name: str, source: str, requires: Sequence[str] = ()) -> None:
    """A module, and metadata of version 9.9 with an entry point that names it."""
    module = f"{name}_of_this_test"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{name}-9.9.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n{needs}"
    (info / "METADATA").write_text(about)
    (info / "entry_points.txt").write_text(f"[sraccel]\n{name} = {module}\n")
