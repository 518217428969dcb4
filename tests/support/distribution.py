"""Distributions as an installer leaves them, whose plugins are found and imported."""

from __future__ import annotations

from pathlib import Path


def make_distribution(folder: Path, name: str, source: str) -> None:
    """A module, and metadata of version 9.9 with an entry point that names it."""
    module = f"{name}_of_this_test"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{name}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text(f"[sraccel]\n{name} = {module}\n")
