"""The study's modules by name, as its scripts import them; they are forgotten after each test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parents[2] / "examples" / "srdiffusion"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of the study's folder."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    local = {path.stem for folder in (FOLDER, EXAMPLES) for path in folder.glob("*.py")}
    for name in local - before:
        sys.modules.pop(name, None)
