"""Denoisers with random weights: as large and as slow as trained ones, and nobody's to download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

COUNTS = ("num_layers", "num_single_layers")
"""Keys of configurations that say how many blocks there are."""
DEVIATION = 0.02
"""Of the weights: small enough for outputs to stay finite in half precision."""

Blocks = Mapping[str, int]
"""How many blocks are built, by key of the configuration; what it leaves out is built whole."""


def counts_of(module: nn.Module) -> dict[str, int]:
    """How many blocks of each kind a denoiser has, by key of its configuration."""
    config: Mapping[str, Any] = getattr(module, "config", {})
    return {key: config[key] for key in COUNTS if isinstance(config.get(key), int)}


def shortened(module: nn.Module, blocks: Blocks) -> nn.Module:
    """The outline of the same model with fewer blocks."""
    from accelerate import init_empty_weights

    counts = {key: min(blocks.get(key, most), most) for key, most in counts_of(module).items()}
    kind: Any = type(module)
    with init_empty_weights():
        fewer: nn.Module = kind.from_config({**kind_config(module), **counts})
    return fewer


def kind_config(module: nn.Module) -> dict[str, Any]:
    """A model's configuration, as `from_config` takes it."""
    return dict(getattr(module, "config", {}))


def with_random_weights(outline: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Give an outline (parameters on the meta device) weights; returns the same module.

    What diffusers keeps in float32 when it loads the model is float32 here.
    """
    import torch
    from torch import nn

    kept = tuple(getattr(outline, "_keep_in_fp32_modules", None) or ())
    for path, module in outline.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            parts = f"{path}.{name}".split(".")
            precision = torch.float32 if any(one in parts for one in kept) else dtype
            values = torch.empty(parameter.shape, dtype=precision, device=device)
            values.normal_(std=DEVIATION)
            setattr(module, name, nn.Parameter(values, requires_grad=False))
    return outline.to(device).eval()
