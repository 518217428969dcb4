"""The plugins that the entry-point group `sraccel` names, and what they offer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic_core import PydanticCustomError

from sraccel.errors import PluginError, SraccelError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.loop.hookspecs import PROJECT, Discovery
from sraccel.text import did_you_mean
from sraccel.video.metric import Metric
from sraccel.video.score import Score

if TYPE_CHECKING:
    from sraccel.calibration.calibration import Calibration
    from sraccel.loop.denoiser_adapter import DenoiserAdapter


@dataclass(frozen=True)
class Plugin:
    """One entry point of the group, imported or not.

    Attributes:
        name: the entry point's name.
        distribution: name and version of the package that it comes from.
        error: why it cannot be used, or None.
        accelerators: names of the accelerators that it brings.
    """

    name: str
    distribution: str
    error: BaseException | None = None
    accelerators: tuple[str, ...] = ()


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
    _origin: dict[str, str] = field(default_factory=dict, repr=False)

    def accelerator(self, name: str) -> type[Accelerator]:
        """The accelerator of this name.

        Raises:
            PluginError: its plugin is installed but cannot be imported.
            KeyError: no plugin brings it.
        """
        if name in self.accelerators:
            return self.accelerators[name]
        for plugin in self.plugins:
            if plugin.error is not None and plugin.name == name:
                raise PluginError(
                    f"the plugin {name!r} ({plugin.distribution}) is installed but cannot be "
                    f"imported: {type(plugin.error).__name__}: {plugin.error}",
                    plugin=name,
                ) from plugin.error
        raise KeyError(name)

    def origin(self, accelerator: str) -> str:
        """The distribution that brings an accelerator, as in `sraccel 0.1.0`."""
        return self._origin.get(accelerator, "this program")

    def load(self, entry_point: EntryPoint) -> None:
        """Import one entry point and add what it brings; a failure is listed, not raised."""
        distribution = _distribution(entry_point)
        try:
            implementation = entry_point.load()
            brought = self._add(entry_point.name, implementation, distribution)
        except (Exception, SystemExit) as error:  # a third party's import may raise anything
            self.plugins.append(Plugin(entry_point.name, distribution, error))
        else:
            self.plugins.append(Plugin(entry_point.name, distribution, None, tuple(brought)))

    def _add(self, name: str, implementation: object, distribution: str) -> list[str]:
        """Add all that a plugin brings, or nothing of it if something is wrong."""
        ask = _discovery_hooks(name, implementation)
        accelerators = {accelerator.name: accelerator for accelerator in ask("accelerators")}
        for taken in accelerators.keys() & self.accelerators.keys():
            raise PluginError(
                f"an accelerator {taken!r} is brought by {distribution} and by "
                f"{self.origin(taken)}: uninstall one of them",
                accelerator=taken,
                plugin=name,
            )
        judges = self._judges(name, ask("metrics"), distribution)
        adapters = ask("denoiser_adapters")
        recipes = {path.stem: path for path in ask("recipes")}
        calibrations = {found.name: found for found in ask("calibrations")}
        self.adapters.extend(adapters)
        for judge in judges:
            known: dict[str, Any] = self.metrics if isinstance(judge, Metric) else self.scores
            known[judge.name] = judge
        self.recipes.update(recipes)
        self.calibrations.update(calibrations)
        self.accelerators.update(accelerators)
        self._origin.update(dict.fromkeys(accelerators, distribution))
        return list(accelerators)

    def _judges(self, name: str, brought: list[Any], distribution: str) -> list[Metric | Score]:
        """Metrics and scores that a plugin brings; errors for other things and taken names."""
        taken = {*self.metrics, *self.scores}
        for judge in brought:
            if not isinstance(judge, (Metric, Score)):
                raise PluginError(
                    f"{distribution} brings a {type(judge).__name__} in sraccel_metrics, which is "
                    f"for Metric and Score",
                    plugin=name,
                )
            if judge.name in taken:
                raise PluginError(
                    f"{distribution} brings a metric or score {judge.name!r}, which is there "
                    f"already: give it another name",
                    plugin=name,
                )
            taken.add(judge.name)
        return brought


@functools.cache
def installed() -> Catalogue:
    """The catalogue of this environment; read once: it does not change in a process."""
    catalogue = Catalogue()
    for entry_point in sorted(entry_points(group=PROJECT), key=lambda found: found.name):
        catalogue.load(entry_point)
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
    return PydanticCustomError(
        "unknown_accelerator",
        "no accelerator is called {quoted}{hint} (installed: {listed})",
        {"name": name, "known": known, "quoted": repr(name), "hint": hint, "listed": listed},
    )


def _discovery_hooks(name: str, implementation: object) -> Callable[[str], list[Any]]:
    """Validate a plugin's discovery hooks; return a function that calls one of them."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Discovery)
    manager.register(implementation, name)
    manager.check_pending()

    def ask(what: str) -> list[Any]:
        answers: list[Iterable[Any]] = getattr(manager.hook, f"sraccel_{what}")()
        return [item for answer in answers for item in answer]

    return ask


def _distribution(entry_point: EntryPoint) -> str:
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "unknown distribution"
