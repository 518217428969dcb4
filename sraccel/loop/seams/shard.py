"""What a block sees of its arguments where diffusers splits a sequence at its door.

`enable_parallelism` puts hooks inside a module's call: those of Wan split the hidden states at the
first block. sraccel's layers lie outside of them, and are to see what the blocks see: a residual is
the difference of two shards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

PREFIX = "cp_input---"
"""Of the names under which diffusers keeps the hooks that split arguments."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""By position and by name."""


def splitting_hooks(block: nn.Module) -> list[Any]:
    """The hooks that split a block's arguments, in the order in which they run."""
    registry: Any = getattr(block, "_diffusers_hook", None)
    if registry is None:
        return []
    names = [name for name in registry._hook_order if name.startswith(PREFIX)]
    return [registry.hooks[name] for name in reversed(names)]


def shard_of(block: nn.Module, hooks: list[Any], given: Arguments) -> Arguments:
    """A block's arguments as it will see them."""
    args, kwargs = given
    for hook in hooks:
        args, kwargs = hook.pre_forward(block, *args, **dict(kwargs))
    return args, kwargs
