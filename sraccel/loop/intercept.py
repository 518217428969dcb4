"""One primitive: put a layer around a callable attribute of an object, and take it away again."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, Self

Layer = Callable[..., Any]
"""Called as `layer(inner, *args, **kwargs)` in place of `inner(*args, **kwargs)`."""

CALL = "_compiled_call_impl"
"""What `nn.Module.__call__` asks first. Layers here lie outside `forward`, so outside every hook of
torch, accelerate and diffusers and outside regional compilation; `deepcopy` drops them."""

_MISSING = object()


class _Link:
    """The callable that replaces an attribute. Without a layer it is transparent."""

    def __init__(self, obj: object, attr: str, inner: Callable[..., Any], layer: Layer) -> None:
        self.obj = obj
        self.attr = attr
        self.inner = inner
        self.layer: Layer | None = layer
        self.copied = False
        self.previous = obj.__dict__.get(attr, _MISSING)
        # Callers inspect signatures (of `scheduler.step`, say): show the wrapped one.
        functools.update_wrapper(self, inner, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.layer is None:
            return self.inner(*args, **kwargs)
        return self.layer(self.inner, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy of the object gets its own plain method back: nobody watches a copy."""
        self.copied = True
        copied = memo.get(id(self.obj), self.obj)
        return getattr(type(copied), self.attr).__get__(copied)

    def __reduce__(self) -> Any:
        """Pickled (`torch.save`), an object keeps its own plain method, for the same reason."""
        return getattr, (self.obj, self.attr)


class Interception:
    """A layer around `obj.attr`, from construction until `undo`, or for a `with` block.

    Layers can be taken away in any order: one that is covered by another, or by a foreign wrapper,
    turns transparent instead. Copies of the object (`copy.deepcopy`, `torch.save`) have none.

    Args:
        obj: a module, or any object that has its attributes in a `__dict__`.
        attr: name of a method of it, `forward` say.
        layer: called as `layer(inner, *args, **kwargs)` in place of `inner(*args, **kwargs)`.
    """

    def __init__(self, obj: object, attr: str, layer: Layer) -> None:
        self._obj, self._attr, self._layer = obj, attr, layer
        self._install()

    def _install(self) -> None:
        self._link = _Link(self._obj, self._attr, self._inner(), self._layer)
        self._obj.__dict__[self._attr] = self._link

    def _inner(self) -> Callable[..., Any]:
        current: Callable[..., Any] | None = getattr(self._obj, self._attr)
        if current is None and self._attr == CALL:
            return self._obj._call_impl  # type: ignore[attr-defined, no-any-return]
        assert current is not None
        return current

    @property
    def copied(self) -> bool:
        """Whether the object was copied since this was asked last."""
        copied, self._link.copied = self._link.copied, False
        return copied

    def reapply(self) -> None:
        """Put the layer back, outermost, if something other than another layer replaced it."""
        current = self._obj.__dict__.get(self._attr)
        while isinstance(current, _Link) and current is not self._link:
            current = current.inner
        if current is not self._link:
            self._link.layer = None
            self._install()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()

    def undo(self) -> None:
        """Take the layer away; a second call does nothing."""
        self._link.layer = None
        if self._obj.__dict__.get(self._attr) is not self._link:
            return
        _restore(self._obj.__dict__, self._attr, self._link.previous)


class Bypass:
    """Replaces the calls of several modules for a moment, with all layers that lie on them.

    Cheaper than a layer on each for all the calls in which nothing is replaced.
    """

    def __init__(self, modules: Sequence[Any], call: Callable[..., Any]) -> None:
        self._attributes = [module.__dict__ for module in modules]
        self._call = call
        self._saved: list[Any] | None = None

    def open(self) -> None:
        """From now on the modules are not called, but the replacement is."""
        self.close()
        self._saved = [own.get(CALL, _MISSING) for own in self._attributes]
        for own in self._attributes:
            own[CALL] = self._call

    def close(self) -> None:
        """Put everything back; where nothing is replaced, do nothing."""
        if self._saved is None:
            return
        for own, previous in zip(self._attributes, self._saved, strict=True):
            _restore(own, CALL, previous)
        self._saved = None  # last, so that one that Ctrl-C broke off is done again

    undo = reapply = close
    """As an `Interception`'s: at the start of a run, and on detaching, nothing is replaced."""


class Later:
    """Layers that come once the first call has been seen; taken away with all others."""

    def __init__(self, layers: list[Interception | Bypass | Later]) -> None:
        self._layers = layers

    def undo(self) -> None:
        """Take them away."""
        for layer in reversed(self._layers):
            layer.undo()
        self._layers.clear()

    def reapply(self) -> None:
        """Put back those that something replaced."""
        for layer in self._layers:
            layer.reapply()


def _restore(own: dict[str, Any], attr: str, previous: Any) -> None:
    while isinstance(previous, _Link) and previous.layer is None:  # undone while it was covered
        previous = previous.previous
    if previous is _MISSING:
        own.pop(attr, None)
    else:
        own[attr] = previous


def is_compiled(module: Any) -> bool:
    """Whether `torch.compile` covers the whole module: nothing inside can be watched then."""
    current = module.__dict__.get(CALL)
    while isinstance(current, _Link):
        current = current.inner
    return not (current is None or isinstance(current, types.MethodType))
