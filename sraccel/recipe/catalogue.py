"""The plugins that the entry-point group `sraccel` names, and what they offer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from sraccel.errors import PluginError, SraccelError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.recipe.discovery.disabled import disabled_names, names_of
from sraccel.recipe.discovery.entry_points import found_entry_points, load, unloaded
from sraccel.recipe.discovery.plugin import Fault, Kind, Offer, Plugin
from sraccel.text import did_you_mean, printable
from sraccel.video.metric import Metric
from sraccel.video.score import Score

if TYPE_CHECKING:
    from sraccel.calibration.calibration import Calibration
    from sraccel.loop.denoiser_adapter import DenoiserAdapter


@dataclass
class Catalogue:
    """Everything that plugins bring, by name."""

    plugins: list[Plugin] = field(default_factory=list)
    accelerators: dict[str, type[Accelerator]] = field(default_factory=dict)
    adapters: list[DenoiserAdapter] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    recipes: dict[str, Path] = field(default_factory=dict)
    calibrations: dict[str, type[Calibration]] = field(default_factory=dict)
    _origin: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False)

    def accelerator(self, name: str) -> type[Accelerator]:
        """The accelerator of this name.

        Raises:
            PluginError: it, or the plugin of this name, is installed but cannot be used.
            KeyError: no plugin brings it.
        """
        if name in self.accelerators:
            return self.accelerators[name]
        for plugin in self.plugins:
            if (reason := _lack(plugin, name)) is not None:
                raise PluginError(reason, plugin=plugin.name) from plugin.error
        raise KeyError(name)

    def origin(self, name: str, kind: Kind = "accelerator") -> str:
        """The distribution that brings something, as in `sraccel 0.1.0`."""
        return self._origin.get((kind, name), "this program")

    @property
    def disabled(self) -> list[str]:
        """Names of the plugins that are switched off."""
        return [plugin.name for plugin in self.plugins if plugin.disabled]

    def load(self, entry_point: EntryPoint, *, disabled: bool = False) -> None:
        """Import one entry point and add what it brings; what fails is listed, not raised."""
        plugin = unloaded(entry_point, disabled=True) if disabled else load(entry_point)
        kept, faults = [], list(plugin.faults)
        for offer in plugin.offers:
            if offer.key in self._origin:
                faults.append(self._taken(offer, plugin.distribution))
            else:
                self._add(offer, plugin.distribution)
                kept.append(offer)
        self.plugins.append(replace(plugin, offers=tuple(kept), faults=tuple(faults)))

    def _taken(self, offer: Offer, distribution: str) -> Fault:
        """What to say of a name that is there already."""
        kind, other = offer.key[0], self._origin[offer.key]
        advice = (
            "give one of them another name"
            if other == distribution
            else ("uninstall one of them, or switch its plugin off (SRACCEL_DISABLE_PLUGINS)")
        )
        article = "an" if kind == "accelerator" else "a"
        return Fault(
            offer.name,
            f"{article} {kind} {offer.name!r} is brought by {distribution} and by {other}, whose "
            f"is used: {advice}",
            offer.name,
        )

    def _add(self, offer: Offer, distribution: str) -> None:
        self._origin[offer.key] = self._origin[offer.kind, offer.name] = distribution
        by_kind: dict[Kind, dict[str, Any]] = {
            "accelerator": self.accelerators,
            "metric": self.metrics,
            "score": self.scores,
            "recipe": self.recipes,
            "calibration": self.calibrations,
        }
        if offer.kind == "family":
            self.adapters.append(offer.thing)
        else:
            by_kind[offer.kind][offer.name] = offer.thing


def _lack(plugin: Plugin, name: str) -> str | None:
    """Why a plugin, or the accelerator of this name in it, cannot be used; None: not known here."""
    where = f"({plugin.distribution}) is installed but"
    if plugin.name == name and (plugin.error is not None or plugin.disabled):
        return f"the plugin {name!r} {where} {plugin.refusal or 'switched off'}"
    for fault in plugin.faults:
        if fault.name == name:
            return f"{name!r} {where} cannot be used: {fault.message}"
    return None


def installed() -> Catalogue:
    """The catalogue of this environment, without plugins that are switched off now.

    Read once for each choice of those: what is installed does not change in a process.
    """
    return _without(disabled_names())


@functools.cache
def _without(disabled: frozenset[str]) -> Catalogue:
    catalogue = Catalogue()
    for entry_point in found_entry_points():
        catalogue.load(entry_point, disabled=bool(names_of(entry_point) & disabled))
    return catalogue


def resolve_options(given: Any) -> AcceleratorOptions:
    """Check one item of a recipe against the options of the accelerator that it names.

    Raises:
        ValueError: no such accelerator; pydantic's ValidationError: its options are wrong.
    """
    if isinstance(given, AcceleratorOptions):
        return given
    if not isinstance(given, dict) or not isinstance(given.get("use"), str):
        raise ValueError("each accelerator is a mapping with a key 'use' that names it")
    try:
        accelerator = installed().accelerator(given["use"])
    except KeyError:
        raise _unknown(given["use"]) from None
    except PluginError as error:
        raise ValueError(str(error)) from error
    try:
        return accelerator.Options.model_validate(given)
    except (ValueError, SraccelError):  # pydantic's is a ValueError
        raise
    except (Exception, SystemExit) as error:  # a third party's validator may raise anything
        found = raised_in(given["use"], "Options", error)
        raise ValueError(str(found)) from found


def raised_in(accelerator: str, method: str, error: BaseException) -> PluginError:
    """The error for a method of an accelerator that raised what it should not."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    made = PluginError(
        f"{accelerator!r} ({installed().origin(accelerator)}) raised in {method}: {reason}",
        accelerator=accelerator,
        hook=method,
    )
    made.__cause__ = error
    return made


def _unknown(name: str) -> PydanticCustomError:
    """Pydantic's error for an unknown name; it lists the known ones."""
    known = sorted(installed().accelerators)
    hint, listed = did_you_mean(name, known), ", ".join(known)
    if off := ", ".join(installed().disabled):
        listed += f"; plugins that are switched off: {off}"
    # Half a character, which JSON can hold, cannot be passed through pydantic.
    name = printable(name)
    return PydanticCustomError(
        "unknown_accelerator",
        "no accelerator is called '{name}'{hint} (installed: {listed})",
        {"name": name, "known": known, "hint": hint, "listed": listed},
    )
