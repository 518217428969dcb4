"""What importing a plugin costs: it should cost little, since every command imports them all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

HEAVY = ("torch", "diffusers", "transformers")
"""Packages that a plugin imports where it uses them, not when it is imported."""
LONGEST = 120.0
"""Seconds that a measurement waits for a plugin."""
_ALONE = """
import sys, time
import sraccel.plugin
began = time.perf_counter()
import {module}
heavy = [name for name in {heavy!r} if name in sys.modules]
sys.stdout.write(" ".join(["\\n", str(time.perf_counter() - began), *heavy]))
"""


@dataclass(frozen=True)
class ImportCost:
    """What one import took.

    Attributes:
        seconds: wall clock.
        heavy: those of `HEAVY` that it imported.
    """

    seconds: float
    heavy: tuple[str, ...] = ()


class Watch:
    """Measures the import in its block; `cost` is there afterwards."""

    cost: ImportCost | None = None


@contextmanager
def watched() -> Iterator[Watch]:
    """Measure what the block imports, also if it raises."""
    watch, before, began = Watch(), {*HEAVY} & sys.modules.keys(), perf_counter()
    try:
        yield watch
    finally:
        heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)
        watch.cost = ImportCost(perf_counter() - began, heavy)


def measured_alone(module: str) -> ImportCost | None:
    """The same in a process of its own, where nothing else was imported; None: it failed."""
    program = _ALONE.format(module=module, heavy=HEAVY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=True,
        )
        seconds, *heavy = done.stdout.splitlines()[-1].split()
    except (subprocess.SubprocessError, OSError, IndexError):
        return None
    return ImportCost(float(seconds), tuple(heavy))
