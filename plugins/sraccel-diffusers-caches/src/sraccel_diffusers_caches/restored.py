"""Taking diffusers' hooks off without a trace: it leaves a registry and a forward on each part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

LEFT = ("_diffusers_hook", "forward", "_cache_config")


@contextmanager
def restored(module: nn.Module) -> Iterator[None]:
    """Remove from a model and its parts the attributes that came inside, and nobody uses."""
    before = {part: {name for name in LEFT if name in vars(part)} for part in module.modules()}
    try:
        yield
    finally:
        for part in module.modules():
            registry = vars(part).get("_diffusers_hook")
            if registry is None or not registry.hooks:
                for name in set(LEFT) - before.get(part, set()):
                    vars(part).pop(name, None)
        root = vars(module).get("_diffusers_hook")
        if root is not None:
            root.invalidate_child_registries_cache()
