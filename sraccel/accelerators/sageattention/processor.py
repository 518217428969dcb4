"""Installing a kernel on attention processors: one module at a time, and nothing else.

A covered processor is an instance of a subclass made for it, which shares the original's attributes
(the very same `__dict__`): `isinstance` checks, inspected signatures and `_parallel_config` behave
as before, reading and writing. Copies of it (`copy`, `deepcopy`, `pickle`) are plain processors.
What differs is where its attention goes, in one of two ways:

- Processors that ask diffusers' `dispatch_attention_fn` name a backend, their `_attention_backend`.
  A covered one names a backend that exists for this purpose alone. It costs nothing, and
  `torch.compile` sees nothing unusual. A backend that is set on it meanwhile becomes the original's
  and counts from detaching on.
- Others (CogVideoX's, say) run under a `TorchFunctionMode` that takes
  `torch.nn.functional.scaled_dot_product_attention` and nothing else, in this thread and within the
  processor's call alone. It costs a microsecond or two per tensor operation.

Neither touches `scaled_dot_product_attention` itself or a default of the process: other models, a
VAE, a text encoder never notice.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from sraccel.accelerators.sageattention.diversion import Diversion, DiversionMode
from sraccel.accelerators.sageattention.kernel import Kernel
from sraccel.accelerators.sageattention.tally import Tally


def attention_modules(module: nn.Module) -> Iterator[Any]:
    """The modules within `module` that compute attention through a diffusers-style processor."""
    for candidate in module.modules():
        if hasattr(candidate, "set_processor") and callable(getattr(candidate, "processor", None)):
            yield candidate


@contextmanager
def covered(module: nn.Module, kernel: Kernel, tally: Tally) -> Iterator[None]:
    """Have all attention of `module` computed by `kernel`, until the context is left.

    Leaving puts every processor back that is still ours; a processor that was set in the meantime
    stays, and covered processors that it or someone else holds become inert.
    """
    with ExitStack() as undo:
        coverings = _Coverings(undo.enter_context(Diversion(kernel, tally)))
        for attention in list(attention_modules(module)):
            original = attention.processor
            cover = coverings.cover(original)
            if cover is None:
                tally.uncovered[type(original).__name__] += 1
            else:
                undo.callback(_put_back, attention, cover, original)
                attention.processor = cover
        yield


def _put_back(attention: Any, cover: Any, original: Any) -> None:
    if attention.processor is not cover:
        return
    while not getattr(getattr(original, "_covered_by", None), "active", True):
        original = original._uncovered  # contexts that are left out of order
    attention.processor = original


class _Coverings:
    """Makes covers; processors of a kind share one class, so that compiled blocks are reused."""

    def __init__(self, diversion: Diversion) -> None:
        self.diversion = diversion
        self._kinds: dict[tuple[type, Any], type] = {}

    def cover(self, processor: Any) -> Any | None:
        """A covered processor that is `processor` otherwise.

        None where there can be none: functions, and classes that cannot be subclassed.
        """
        kind = type(processor)
        backend = getattr(processor, "_attention_backend", None)
        try:
            if (kind, backend) not in self._kinds:
                self._kinds[kind, backend] = self._covering(kind, backend)
            cover = _sharing(processor, self._kinds[kind, backend])
            object.__setattr__(cover, "_uncovered", processor)
        except (TypeError, AttributeError):
            return None
        return cover

    def _covering(self, kind: type, backend: Any) -> type:
        default = getattr(kind, "_attention_backend", "none of its own")
        if default is None or isinstance(default, property):
            ours = self.diversion.backend(otherwise=backend)
            if ours is not None:
                return self._subclass(kind, _attention_backend=_backend(self.diversion, ours))
        return self._subclass(kind, __call__=_call_under_mode(self.diversion, kind))

    def _subclass(self, kind: type, **differs: Any) -> type:
        body = {
            "__slots__": ("_uncovered",),
            "_covered_by": self.diversion,
            "__copy__": lambda cover: copy.copy(cover._uncovered),
            "__reduce_ex__": lambda cover, protocol: (_itself, (cover._uncovered,)),
        }
        return type(f"{kind.__name__}_sageattention", (kind,), {**body, **differs})


def _itself(processor: Any) -> Any:
    """What a copied or unpickled cover becomes."""
    return processor


def _backend(diversion: Diversion, ours: Any) -> property:
    """`_attention_backend`: ours to read while attached, the original's own to write."""

    def read(self: Any) -> Any:
        return ours if diversion.active else self.__dict__.get("_attention_backend")

    def write(self: Any, value: Any) -> None:
        self.__dict__["_attention_backend"] = value

    return property(read, write)


def _call_under_mode(diversion: Diversion, kind: Any) -> Any:
    mode, tally = DiversionMode(diversion), diversion.tally

    @functools.wraps(kind.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not diversion.active:
            return kind.__call__(self, *args, **kwargs)
        before = 0 if torch.compiler.is_compiling() else tally.counted
        with mode:
            out = kind.__call__(self, *args, **kwargs)
        if not torch.compiler.is_compiling() and tally.counted == before:
            tally.fell_back["attention by other means than scaled_dot_product_attention"] += 1
        return out

    return call


def _sharing(processor: Any, kind: type) -> Any:
    """An instance of `kind` that has `processor`'s attributes, now and later."""
    shared: Any = object.__new__(kind)
    shared.__dict__ = processor.__dict__
    return shared
