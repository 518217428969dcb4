"""Requirements, as package metadata write them (PEP 508), against what is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

from sraccel.loop.obstacle import Obstacle


def unmet(requirements: Iterable[str]) -> Iterator[Obstacle]:
    """Those that do not hold here; extras and other platforms' do not count.

    Args:
        requirements: as in `lpips>=0.1` or `triton>=3; platform_system == 'Linux'`.
    """
    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            yield Obstacle(f"its requirement {text!r} cannot be read", "its author must correct it")
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield from _unmet(wanted)


def _unmet(wanted: Requirement) -> Iterator[Obstacle]:
    spelled = f"{wanted.name}{wanted.specifier}"
    remedy = f"pip install {spelled!r}"
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        yield Obstacle(f"it needs {spelled}, which is not installed", remedy)
        return
    if not wanted.specifier.contains(found, prereleases=True):
        yield Obstacle(f"it needs {spelled}, and {wanted.name} {found} is installed", remedy)


def of_sraccel(requirements: Iterable[str]) -> list[str]:
    """Those on sraccel itself."""
    return [text for text in requirements if _name(text) == "sraccel"]


def _name(text: str) -> str:
    try:
        return Requirement(text).name.lower()
    except InvalidRequirement:
        return ""
