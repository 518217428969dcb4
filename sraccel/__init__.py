"""sraccel: a pluggy-based stack of accelerators for video diffusion on PyTorch and diffusers.

Names are imported when they are used, so that `import sraccel` costs little and imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sraccel.comparison.compare import compare
    from sraccel.comparison.comparison import Comparison
    from sraccel.composer import compose
    from sraccel.errors import (
        ConflictError,
        HandoverError,
        LoopError,
        ModelError,
        NonFiniteError,
        OutputError,
        PluginError,
        RanksError,
        RecipeError,
        SraccelError,
    )
    from sraccel.handover.handover import Handover
    from sraccel.handover.resuming import resume
    from sraccel.handover.sketching import until_switch
    from sraccel.loop.hookspecs import hookimpl
    from sraccel.loop.ranks import Ranks
    from sraccel.loop.stack import Stack
    from sraccel.recipe.recipe import Recipe
    from sraccel.reencode.handoff import Handoff, handoff
    from sraccel.report.model import Report
    from sraccel.study.measure import run_study
    from sraccel.study.plan.study import Study

_HOME = {
    "comparison.compare": ("compare",),
    "comparison.comparison": ("Comparison",),
    "composer": ("compose",),
    "errors": (
        "ConflictError",
        "HandoverError",
        "LoopError",
        "ModelError",
        "NonFiniteError",
        "OutputError",
        "PluginError",
        "RanksError",
        "RecipeError",
        "SraccelError",
    ),
    "handover.handover": ("Handover",),
    "handover.resuming": ("resume",),
    "handover.sketching": ("until_switch",),
    "loop.hookspecs": ("hookimpl",),
    "recipe.recipe": ("Recipe",),
    "reencode.handoff": ("Handoff", "handoff"),
    "report.model": ("Report",),
    "loop.ranks": ("Ranks",),
    "loop.stack": ("Stack",),
    "study.plan.study": ("Study",),
    "study.measure": ("run_study",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Comparison",
    "ConflictError",
    "Handoff",
    "Handover",
    "HandoverError",
    "LoopError",
    "ModelError",
    "NonFiniteError",
    "OutputError",
    "PluginError",
    "Ranks",
    "RanksError",
    "Recipe",
    "RecipeError",
    "Report",
    "SraccelError",
    "Stack",
    "Study",
    "compare",
    "compose",
    "handoff",
    "hookimpl",
    "resume",
    "run_study",
    "until_switch",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sraccel' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"sraccel.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found
