"""Editions of the contract between sraccel and accelerators, and what changed from one to the next.

An accelerator may say which it was written for (`Accelerator.api`); an older one is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sraccel.errors import PluginError

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator

API = 2

CHANGES = {
    2: "`reuse_residual` became a rule, `skip_blocks` (True: leave the blocks out), and a "
    "predictor, `predict`; the core keeps what was computed (`call.history`), so a rule that "
    "reuses the last residual needs no `residual_computed`",
}
"""What changed with an edition."""
GONE = {"reuse_residual": 2}
"""Hooks of earlier editions, and the edition that took them away."""


def check_edition(accelerator: Accelerator | type[Accelerator]) -> None:
    """Refuse an accelerator (or its class) of another edition.

    Raises:
        PluginError: it says so itself, or implements a hook that is gone.
    """
    gone = [name for name in GONE if hasattr(getattr(accelerator, name, None), "sraccel_impl")]
    made_for = min([accelerator.api, *(GONE[name] - 1 for name in gone)])
    if made_for > API:
        raise PluginError(
            f"accelerator {accelerator.name!r} is made for edition {made_for} of the hooks, and "
            f"this is edition {API}: update sraccel",
            accelerator=accelerator.name,
        )
    if made_for < API:
        changed = "; ".join(CHANGES[edition] for edition in range(made_for + 1, API + 1))
        raise PluginError(
            f"accelerator {accelerator.name!r} is made for edition {made_for} of the hooks, and "
            f"this is edition {API}. What changed: {changed}",
            accelerator=accelerator.name,
            hook=gone[0] if gone else None,
        )
