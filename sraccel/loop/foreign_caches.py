"""Caches of others on a denoiser: two that skip blocks would each take the other's work for fresh.

They are known by the public switch of diffusers (`is_cache_enabled`), by the hooks that its
`apply_...` functions leave in a module's registry, and by the mark that cache-dit leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

REGISTRY = "_diffusers_hook"
MODULE_OF_HOOKS = "diffusers.hooks."
CACHES = ("cache", "broadcast", "layer_skip")
"""Parts of the names of diffusers' modules whose hooks skip work."""
HARMLESS = ("text_kv_cache",)
"""It keeps what depends on the prompt alone."""
CACHE_DIT = "_is_cached"


def foreign_cache_on(module: nn.Module) -> str | None:
    """What skips work on this denoiser, and is not sraccel's; None: nothing that is known."""
    if getattr(module, "is_cache_enabled", False):
        config: Any = getattr(module, "_cache_config", None)
        return f"diffusers' cache ({type(config).__name__})"
    if getattr(module, CACHE_DIT, False):
        return "cache-dit"
    for part in module.modules():
        for name, hook in getattr(part.__dict__.get(REGISTRY), "hooks", {}).items():
            if _is_cache(type(hook).__module__):
                return f"diffusers' cache (the hook {name!r})"
    return None


def _is_cache(defined_in: str) -> bool:
    _, here, file = defined_in.rpartition(MODULE_OF_HOOKS)
    return bool(here) and file not in HARMLESS and any(part in file for part in CACHES)
