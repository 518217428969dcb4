"""Plugins that the user switched off, by the environment or by `sraccel --disable-plugin`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint

VARIABLE = "SRACCEL_DISABLE_PLUGINS"
"""Names of plugins or of distributions, with commas between them."""


def disabled_names() -> frozenset[str]:
    """What the environment says now, normalised."""
    given = os.environ.get(VARIABLE, "").split(",")
    return frozenset(normalised(name) for name in given if name.strip())


def normalised(name: str) -> str:
    """As packages compare their names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def names_of(entry_point: EntryPoint) -> set[str]:
    """The names by which a plugin can be switched off, normalised."""
    dist = entry_point.dist
    return {normalised(name) for name in (entry_point.name, dist.name if dist else "") if name}


@contextmanager
def disabling(names: Iterable[str]) -> Iterator[None]:
    """Switch further plugins off in the block, also for processes that are started in it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join(filter(None, [before, *names]))
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
