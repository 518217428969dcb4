"""What must stay the same for runs to belong to one study."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sraccel.loop.hookspecs import PROJECT
from sraccel.models.checksum import weights_checksum
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe
from sraccel.report.build import environment, versions
from sraccel.report.origin import Source, sources_of

if TYPE_CHECKING:
    from sraccel.loop.stack import Stack
    from sraccel.study.cell import Cell
from sraccel.text import shortened

SHOWN = 70
"""Characters of a value in an error."""
ARITHMETIC = ("numpy", "scipy", "torchmetrics")
"""Packages that compute what is judged, besides those that a report names."""
TILING = ("use_tiling", "use_slicing", "use_framewise_encoding", "use_framewise_decoding")
"""What diffusers calls the switches of a VAE that decodes piece by piece."""
PASSING = frozenset({"LayerExecutionTrackerHook", "LazyPrefetchGroupOffloadingHook"})
"""Hooks of diffusers' that are gone after the first run."""
DIGITS = 12
"""Of the checksum of a tensor or a picture."""


class Header(BaseModel):
    """What all runs of a study share. Prompts, seeds, repeats and the budget may change."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[3] = 3  # rises with that of the reports in the store
    pipeline: str
    models: dict[str, dict[str, str | None]] = Field(
        description="Class, dtype and a checksum of each part, the denoisers that accelerators "
        "bring included; how it computes, where that can be set."
    )
    scheduler: dict[str, Any]
    sources: list[Source] = Field(
        description="Models and files that the recipe and the cells name."
    )
    call: dict[str, Any] = Field(
        description="Arguments that all runs share; of what JSON cannot hold, a checksum."
    )
    cells: dict[str, dict[str, Any]]
    versions: dict[str, str]
    environment: dict[str, str]

    def differences(self, other: Header) -> Iterator[tuple[str, object, object]]:
        """(path, value here, value there) of whatever differs; of a cell too many, one line."""
        for name in dict.fromkeys([*other.cells, *self.cells]):
            if (name in self.cells) != (name in other.cells):
                now, then = ("a cell" if name in item.cells else None for item in (self, other))
                yield f"cells.{name}", now, then
        both = self.cells.keys() & other.cells.keys()
        ours, theirs = (dict(_flat("", item._content(both))) for item in (self, other))
        for path in {**theirs, **ours}:
            if ours.get(path) != theirs.get(path):
                yield path, ours.get(path), theirs.get(path)

    def _content(self, cells: Collection[str]) -> dict[str, Any]:
        """As JSON, with these cells alone."""
        content = self.model_dump(mode="json")
        kept = {name: cell for name, cell in content["cells"].items() if name in cells}
        return {**content, "cells": kept}

    def difference_lines(self, other: Header) -> list[str]:
        """The same, to be read: `other` is what there was."""
        return [
            f"{path}: {_short(then)} there, {_short(now)} now"
            for path, now, then in self.differences(other)
        ]


def header_of(
    pipe: Any,
    cells: Sequence[Cell],
    stacks: Mapping[str, Stack],
    sources: Sequence[Source],
    call: Mapping[str, Any],
) -> Header:
    """The header of a study on a pipeline.

    Args:
        pipe: a diffusers pipeline.
        cells: all, those that cannot be composed included.
        stacks: of the cells that can be, by name; the bare one is among them.
        sources: what the recipe names, with fingerprints.
        call: arguments that all runs share.
    """
    some = next(iter(stacks.values()))
    scheduler = pipe.scheduler
    return Header(
        pipeline=type(pipe).__name__,
        models=dict(_models(pipe, stacks)),
        scheduler={"class": type(scheduler).__name__, **_plain(dict(scheduler.config))},
        sources=list(_sources(sources, cells)),
        call=_plain(dict(call)),
        cells={cell.name: _cell(cell) for cell in cells},
        versions=_versions(cells),
        environment=environment(some.device),
    )


def _models(pipe: Any, stacks: Mapping[str, Stack]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The pipeline's parts by name, then what accelerators bring, by role and checksum."""
    from torch import nn

    for name, part in pipe.components.items():
        if isinstance(part, nn.Module):
            yield name, _part(part)
    for stack in stacks.values():
        for role in stack.contributions:
            described = _part(stack.denoisers[role].module)
            yield f"{role} {described['weights']}", described


def _cell(cell: Cell) -> dict[str, Any]:
    return {**cell.describe(), "sampling": _plain(cell.sampling)}


def _sources(given: Iterable[Source], cells: Iterable[Cell]) -> Iterable[Source]:
    """What was given, then what only options of cells name: those that are swept."""
    found = {source.name: source for source in given}
    for accelerator in _accelerators(cells):
        with suppress(Exception):  # its cells will say why they cannot run
            for source in sources_of([], Recipe(accelerators=[accelerator])):
                found.setdefault(source.name, source)
    return found.values()


def _accelerators(cells: Iterable[Cell]) -> Iterable[Any]:
    """Options of accelerators, equal ones once: most cells share them."""
    found: dict[str, Any] = {}
    for cell in cells:
        for options, described in zip(
            cell.accelerators, cell.describe()["accelerators"], strict=True
        ):
            found.setdefault(json.dumps(described, sort_keys=True), options)
    return found.values()


def _versions(cells: Iterable[Cell]) -> dict[str, str]:
    found = dict(versions())
    for package in ARITHMETIC:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    for distribution in sorted({*_bringing(cells), *_judging()}):
        name, _, number = distribution.rpartition(" ")
        found[name] = number
    return found


def _bringing(cells: Iterable[Cell]) -> Iterator[str]:
    """Distributions (`sraccel 0.1.0`) of the cells' accelerators."""
    catalogue = installed()
    for name in {name for cell in cells for name in cell.uses}:
        if name in catalogue.accelerators:  # else it is the caller's own
            yield catalogue.origin(name)


def _judging() -> Iterator[str]:
    """Distributions of metrics and scores, all that are installed: they judge every run."""
    for entry_point in entry_points(group=PROJECT):
        with suppress(Exception):  # a broken plugin judges nothing
            if entry_point.dist and hasattr(entry_point.load(), "sraccel_metrics"):
                yield f"{entry_point.dist.name} {entry_point.dist.version}"


def _flat(path: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{path}.{key}" if path else key, item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(f"{path}[{index}]", item)
    else:
        yield path, value


def _short(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return shortened(text, SHOWN)


def _part(module: Any) -> dict[str, str | None]:
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
    return "" if config is None else f"{type(config).__name__} {json.dumps(_plain(vars(config)))}"


def _class_or_name(value: Any) -> str:
    """The class of an object; a function's name."""
    return value.__name__ if inspect.isfunction(value) else type(value).__name__


def _plain(value: Any) -> Any:
    """A value as JSON holds it: `<Tensor 1x3x8x8 float32 761136e30319>` for a tensor."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return str(value) if isinstance(value, PurePath) else _summary(value)


def _summary(value: Any) -> str:
    """Numbers and pictures by a checksum, other objects by their class."""
    import torch

    if inspect.isclass(value):
        return value.__name__
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    with suppress(Exception):  # a tensor may be without numbers, an image's file be gone
        if (content := _content(value)) is not None:
            kind, numbers = content
            return f"<{kind} {hashlib.sha256(numbers).hexdigest()[:DIGITS]}>"
    return f"<{type(value).__name__}>"


def _content(value: Any) -> tuple[str, bytes | memoryview] | None:
    """Kind and bytes of a tensor, an array or an image; None for anything else."""
    import numpy as np
    import torch
    from PIL import Image

    if isinstance(value, torch.Tensor):
        numbers = value.detach().resolve_conj().resolve_neg().cpu().contiguous().flatten()
        dtype = str(value.dtype).removeprefix("torch.")
        kind = f"{type(value).__name__} {_size(value.shape)} {dtype}"
        return kind, numbers.view(torch.uint8).numpy().data
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        return f"{type(value).__name__} {_size(value.shape)} {value.dtype}", value.tobytes()
    if isinstance(value, Image.Image):  # whatever kind of file it came from
        pixels = value.tobytes() + bytes(value.getpalette() or [])
        return f"Image {_size(value.size)} {value.mode}", pixels
    return None


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
