"""Finding an argument of a module's call, whichever way the caller gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, name: str) -> Any:
    """An argument by its position in the signature, or by its name.

    Raises:
        KeyError: it was not given.
    """
    return args[position] if len(args) > position else kwargs[name]
