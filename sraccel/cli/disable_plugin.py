"""`--disable-plugin NAME`, before any command: plugins that it does without."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import typer


def switched_off(names: Sequence[str]) -> AbstractContextManager[None]:
    """Plugins that are left out in the block.

    Raises:
        BadParameter: nothing that is installed has one of the names.
    """
    from sraccel.recipe.discovery.disabled import disabling, names_of, normalised
    from sraccel.recipe.discovery.entry_points import found_entry_points
    from sraccel.text import did_you_mean

    known = {name for entry_point in found_entry_points() for name in names_of(entry_point)}
    for name in names:
        if normalised(name) not in known:
            hint = did_you_mean(name, known)
            raise typer.BadParameter(
                f"no plugin and no package of plugins is called {name!r}{hint} (installed: "
                f"{', '.join(sorted(known))})",
                param_hint="--disable-plugin",
            )
    return disabling(names)
