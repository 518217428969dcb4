"""What a pipeline and its process look like, so that what an accelerator leaves behind shows."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sraccel.models.checksum import tensor_sums

SHOWN = 3
"""Differences that a fault names."""
INSPECTED = {
    "scheduler": ("step", "set_timesteps"),
    "transformer": ("forward",),
    "vae": ("encode", "decode"),
    "text_encoder": ("forward",),
}
"""Methods whose signatures pipelines and other libraries read, by component."""


@dataclass
class Snapshot:
    """References to everything that hangs on a pipeline's parts, and sums of its weights.

    Attributes:
        own: by the path of a part, its attributes; dictionaries among them one level deep.
        weights: a sum over all bits of each weight, by path.
        names: attributes of objects that keep things of their last run.
        process: what belongs to the process.
        threads: those that are alive, without those of libraries that live as long as the process.
        left: attributes that other libraries leave on modules, which are not looked at.
    """

    own: dict[str, dict[str, Any]]
    weights: dict[str, int]
    names: dict[str, set[str]]
    process: dict[str, Any]
    threads: set[threading.Thread]
    left: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, pipe: Any, left: Iterable[str] = ()) -> Snapshot:
        """That of a pipeline, or of a denoiser without one, as it is now."""
        parts = dict(_parts(pipe))
        classes = {type(one) for part in parts.values() for one in part.modules()}
        kept = {f"{name}.{path}".rstrip("."): one for name, path, one in _modules(parts)}
        others = {"pipeline": pipe, "scheduler": getattr(pipe, "scheduler", None)}
        return cls(
            own={path: _attributes(one) for path, one in kept.items()}
            | {f"class {kind.__name__}": dict(vars(kind)) for kind in classes},
            weights={
                f"{name}.{key}": value
                for name, part in parts.items()
                for key, value in tensor_sums(part).items()
            },
            names={
                name: set(vars(one))
                for name, one in others.items()
                if one is not None and not isinstance(one, nn.Module)
            },
            process=_process(),
            threads=_threads(),
            left=frozenset(left),
        )

    def changes(self, now: Snapshot) -> Iterator[str]:
        """In words, what is not as it was."""
        for path, before in self.own.items():
            yield from _changed(path, before, now.own.get(path, {}), self.left)
        for path in now.own.keys() - self.own.keys():
            yield f"{path} is new"
        for path, total in self.weights.items():
            if now.weights.get(path, total) != total:
                yield f"the weight {path} has other values"
        for name, before_names in self.names.items():
            for attribute in sorted(now.names[name] ^ before_names):
                is_new = attribute in now.names[name]
                yield f"the {name}'s attribute {attribute!r} is {'new' if is_new else 'gone'}"
        for what, was in self.process.items():
            if not _same(was, now.process[what]):
                yield f"{what} is not what it was"

    def restore_process(self) -> None:
        """Put back what belongs to the process, so that what comes next is not spoiled."""
        torch.nn.functional.scaled_dot_product_attention = self.process[SDPA]
        torch.set_default_dtype(self.process["torch's default dtype"])
        torch.set_grad_enabled(self.process["whether torch computes gradients"])
        torch.set_num_threads(self.process["torch's number of threads"])
        torch.set_rng_state(self.process[RNG])


ONCE_A_PROCESS = frozenset({"tqdm"})
"""Packages that start one thread with the first use of anything (tqdm's watches all bars)."""


def _threads() -> set[threading.Thread]:
    return {
        one
        for one in threading.enumerate()
        if type(one).__module__.partition(".")[0] not in ONCE_A_PROCESS
    }


SDPA = "torch.nn.functional.scaled_dot_product_attention"
RNG = "the state of torch's global random numbers"


def _process() -> dict[str, Any]:
    return {
        SDPA: torch.nn.functional.scaled_dot_product_attention,
        "torch's default dtype": torch.get_default_dtype(),
        "whether torch computes gradients": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        RNG: torch.get_rng_state(),
    }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return one is other or (isinstance(one, (int, bool)) and bool(one == other))


def _parts(pipe: Any) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(pipe, nn.Module):
        yield "denoiser", pipe
    for name, part in getattr(pipe, "components", {}).items():
        if isinstance(part, nn.Module):
            yield name, part


def _modules(parts: dict[str, nn.Module]) -> Iterator[tuple[str, str, nn.Module]]:
    for name, part in parts.items():
        for path, module in part.named_modules():
            yield name, path, module


def _attributes(module: nn.Module) -> dict[str, Any]:
    """An object's own attributes; of dictionaries a copy, so that what is put into one shows."""
    return {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in vars(module).items()
    }


def _changed(
    path: str, before: dict[str, Any], now: dict[str, Any], left: frozenset[str]
) -> Iterator[str]:
    for name in sorted((before.keys() | now.keys()) - left, key=str):
        if name not in now:
            yield f"{path} has lost its attribute {name!r}"
        elif name not in before:
            yield f"{path} has a new attribute {name!r}"
        elif isinstance(before[name], dict) and isinstance(now[name], dict):
            inner = _differing(before[name], now[name])
            yield from (f"{path}: {name.strip('_')} has another entry {one!r}" for one in inner)
        elif before[name] is not now[name] and not _equal_plain(before[name], now[name]):
            yield f"{path}: its attribute {name!r} is another object"


def _differing(before: dict[Any, Any], now: dict[Any, Any]) -> list[Any]:
    return [
        key
        for key in dict.fromkeys((*before, *now))
        if key not in before or key not in now or before[key] is not now[key]
    ]


def _equal_plain(one: Any, other: Any) -> bool:
    plain = (bool, int, float, str, type(None))
    return isinstance(one, plain) and isinstance(other, plain) and one == other


def some(differences: Iterable[str]) -> str:
    """The first of them, and how many more there are; empty: none."""
    found = list(differences)
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def signatures(pipe: Any) -> dict[str, str]:
    """The signatures of what others inspect, by name."""
    found = {}
    for component, methods in INSPECTED.items():
        part = getattr(pipe, component, None)
        for method in methods if part is not None else ():
            found[f"{component}.{method}"] = str(inspect.signature(getattr(part, method)))
    return found
