"""How a model is set up, as far as a study must notice if it is not the same any more."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from typing import Any

from sraccel.models.checksum import weights_checksum
from sraccel.study.runs.values import plain

TILING = ("use_tiling", "use_slicing", "use_framewise_encoding", "use_framewise_decoding")
"""What diffusers calls the switches of a VAE that decodes piece by piece."""
PASSING = frozenset({"LayerExecutionTrackerHook", "LazyPrefetchGroupOffloadingHook"})
"""Hooks of diffusers' that are gone after the first run."""


def describe_part(module: Any) -> dict[str, str | None]:
    """Class, dtype, a checksum of the weights, and what its users can set."""
    return {
        "class": type(module).__name__,
        "dtype": str(getattr(module, "dtype", None)),
        "weights": weights_checksum(module),
        **_settings(module),
    }


def _settings(module: Any) -> dict[str, str]:
    """How a part computes, as far as its users can set it; what is not set is left out."""
    compiled = (part for part in module.modules() if part._compiled_call_impl is not None)
    found = {
        "attention": _listed(_attention(module)),
        "hooks": _listed(_hooks(module)),
        "cache": _cache(module),
        "compiled": _listed(type(part).__name__ for part in compiled),
        **_tiling(module),
    }
    return {name: value for name, value in found.items() if value}


def _listed(names: Iterable[str]) -> str:
    """Each once: a model has hundreds of layers."""
    return ", ".join(sorted(set(names)))


def _attention(module: Any) -> Iterator[str]:
    """Processors with their backends (diffusers), the implementation (transformers)."""
    for part in module.modules():
        processor = getattr(part, "processor", None)
        if processor is not None and hasattr(part, "set_processor"):
            yield " ".join([_class_or_name(processor), *_backend(processor)])
    implementation = getattr(getattr(module, "config", None), "_attn_implementation", None)
    if implementation is not None:
        yield str(implementation)


def _backend(processor: Any) -> Iterator[str]:
    """The backend of a processor that asks for one: its own, or the process's."""
    if not hasattr(processor, "_attention_backend"):
        return
    from diffusers.models import attention_dispatch

    registry = getattr(attention_dispatch, "_AttentionBackendRegistry", None)
    backend = processor._attention_backend or getattr(registry, "_active_backend", None)
    if backend is not None:
        yield str(getattr(backend, "value", backend))


def _tiling(module: Any) -> dict[str, str]:
    """Switches that are on; if there are any, the sizes of the pieces, too."""
    switches = {name: "on" for name in TILING if getattr(module, name, False) is True}
    sizes = {name: str(size) for name, size in vars(module).items() if name.startswith("tile_")}
    return {**switches, **sizes} if switches else {}


def _hooks(module: Any) -> Iterator[str]:
    """Classes of accelerate's and diffusers' hooks: how a part is offloaded, for one."""
    for part in module.modules():
        ours = getattr(part, "_hf_hook", None)
        theirs = getattr(getattr(part, "_diffusers_hook", None), "hooks", {})
        for hook in (*getattr(ours, "hooks", [ours]), *theirs.values()):
            if hook is not None and type(hook).__name__ not in PASSING:
                yield type(hook).__name__


def _cache(module: Any) -> str:
    """Diffusers' own cache, if it is on."""
    config = getattr(module, "_cache_config", None)
    return "" if config is None else f"{type(config).__name__} {json.dumps(plain(vars(config)))}"


def _class_or_name(value: Any) -> str:
    """The class of an object; a function's name."""
    return value.__name__ if inspect.isfunction(value) else type(value).__name__
