"""Asking a plugin's discovery hooks, and looking at each thing that they bring."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy

from sraccel.errors import PluginError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.loop.claims import claims_of
from sraccel.loop.denoiser_adapter import DenoiserAdapter
from sraccel.loop.hooks import FAILURES, HOOKS, is_implemented
from sraccel.loop.hookspecs import PROJECT, Discovery
from sraccel.recipe.discovery.plugin import Fault, Offer
from sraccel.text import did_you_mean
from sraccel.video.metric import Metric
from sraccel.video.score import Score

HOOK_NAMES = tuple(name for name in vars(Discovery) if name.startswith("sraccel_"))
MARK = f"{PROJECT}_impl"


def offers_of(implementation: object) -> Iterator[Offer | Fault]:
    """What a module (or object) brings, and what is wrong with it, hook by hook, item by item."""
    found = False
    for name, function in _candidates(implementation):
        marked = hasattr(function, MARK)
        found = found or marked or name in HOOK_NAMES
        if marked and name not in HOOK_NAMES:
            hint = did_you_mean(name, HOOK_NAMES)
            known = ", ".join(HOOK_NAMES)
            yield Fault(name, f"no hook of discovery is called {name!r}{hint} ({known})")
        elif name in HOOK_NAMES and not marked:
            yield Fault(name, f"{name} is not marked @hookimpl, so nothing would call it")
        elif marked:
            yield from _asked(name, function)
    if not found:
        known = ", ".join(HOOK_NAMES)
        yield Fault("hooks", f"it brings nothing: it has no function marked @hookimpl ({known})")


def _candidates(implementation: object) -> Iterator[tuple[str, Any]]:
    """Functions that are hooks, or look like some."""
    for name in dir(implementation):
        function = getattr(implementation, name, None)
        if inspect.isroutine(function) and (hasattr(function, MARK) or name in HOOK_NAMES):
            yield name, function


def _asked(hook: str, function: Any) -> Iterator[Offer | Fault]:
    """What one hook brings; what it brought before it raised counts."""
    try:
        for item in _items(hook, function):
            yield _looked_at(hook, item)
    except pluggy.PluginValidationError as error:
        yield Fault(hook, " ".join(str(error).split()))
    except FAILURES as error:
        yield Fault(hook, f"{hook} raised {type(error).__name__}: {error}")


def _items(hook: str, function: Any) -> Iterator[Any]:
    """pluggy checks the signature and calls it; each hook by itself."""
    options = getattr(function, MARK)
    if options["wrapper"] or options["hookwrapper"]:
        raise TypeError("hooks cannot be wrapped: return what the plugin brings")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Discovery)
    manager.register(SimpleNamespace(**{hook: function}))
    answers: list[Iterable[Any]] = getattr(manager.hook, hook)()
    for answer in answers:
        yield from answer


def _looked_at(hook: str, item: Any) -> Offer | Fault:
    """An item as an offer, or what is wrong with it."""
    try:
        return _OFFERED[hook](item)
    except PluginError as error:
        name = getattr(item, "name", None)
        known = name if isinstance(name, str) else None
        return Fault(known or shown(item), str(error), known)
    except FAILURES as error:
        return Fault(shown(item), f"{shown(item)} raised {type(error).__name__}: {error}")


def shown(item: Any) -> str:
    """An item in a few words."""
    return item.__qualname__ if isinstance(item, type) else f"a {type(item).__name__}"


def _accelerator(item: Any) -> Offer:
    if not (isinstance(item, type) and issubclass(item, Accelerator)):
        raise PluginError(
            f"{shown(item)} is in sraccel_accelerators, which is for subclasses of Accelerator "
            f"(the classes, not instances)"
        )
    if not isinstance(item.name, str) or not item.name.strip():
        raise PluginError(f"{shown(item)}.name is {item.name!r}: it must be a text")
    if not issubclass(item.Options, AcceleratorOptions):
        raise PluginError(f"{shown(item)}.Options must be a subclass of AcceleratorOptions")
    claims_of(item, [hook for hook in HOOKS if is_implemented(item, hook)])
    return Offer("accelerator", item.name, item)


def _family(item: Any) -> Offer:
    if not isinstance(item, DenoiserAdapter):
        raise PluginError(
            f"{shown(item)} is in sraccel_denoiser_adapters, which is for instances of "
            f"DenoiserAdapter"
        )
    for attribute in ("family", "model_class"):
        if not isinstance(getattr(item, attribute, None), str):
            raise PluginError(f"the adapter {shown(type(item))} needs a text as its {attribute!r}")
    return Offer("family", item.family, item)


def _judge(item: Any) -> Offer:
    if not isinstance(item, (Metric, Score)):
        raise PluginError(f"{shown(item)} is in sraccel_metrics, which is for Metric and Score")
    return Offer("metric" if isinstance(item, Metric) else "score", item.name, item)


def _recipe(item: Any) -> Offer:
    path = Path(item)
    if not path.is_file():
        raise PluginError(f"the recipe {path.name!r} is not a file that is there")
    return Offer("recipe", path.stem, path)


def _calibration(item: Any) -> Offer:
    """`sraccel.calibration` lies above this room: so by what is needed of the class."""
    name = getattr(item, "name", None)
    if not isinstance(item, type) or not isinstance(name, str) or not hasattr(item, "fit"):
        raise PluginError(
            f"{shown(item)} is in sraccel_calibrations, which is for subclasses of Calibration"
        )
    return Offer("calibration", name, item)


_OFFERED = {
    "sraccel_accelerators": _accelerator,
    "sraccel_denoiser_adapters": _family,
    "sraccel_metrics": _judge,
    "sraccel_recipes": _recipe,
    "sraccel_calibrations": _calibration,
}
