"""Loading one entry point: refused, imported, asked."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from sraccel.errors import PluginError
from sraccel.loop.hooks import FAILURES
from sraccel.loop.hookspecs import PROJECT
from sraccel.recipe.discovery.import_cost import watched
from sraccel.recipe.discovery.offers import offers_of
from sraccel.recipe.discovery.plugin import Fault, Offer, Plugin
from sraccel.recipe.discovery.requirements import of_sraccel, unmet


def found_entry_points() -> list[EntryPoint]:
    """All of the group, by name and then by distribution: so the order is the same everywhere."""
    return sorted(entry_points(group=PROJECT), key=lambda one: (one.name, distribution_of(one)))


def distribution_of(entry_point: EntryPoint) -> str:
    """Name and version of the package that an entry point comes from."""
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "unknown distribution"


def load(entry_point: EntryPoint) -> Plugin:
    """Import an entry point and ask its hooks; what is wrong is in the plugin, not raised.

    A plugin that was made for another version of sraccel is not imported.
    """
    found = unloaded(entry_point)
    error: BaseException
    if lacking := list(unmet(of_sraccel(found.requires))):
        error = PluginError("; ".join(map(str, lacking)), plugin=found.name)
        return replace(found, error=error)
    with watched() as watch:
        try:
            implementation = entry_point.load()
        except FAILURES as raised:  # a third party's import may raise anything
            return replace(found, error=raised)
    brought = list(offers_of(implementation))
    return replace(
        found,
        offers=tuple(one for one in brought if isinstance(one, Offer)),
        faults=tuple(one for one in brought if isinstance(one, Fault)),
        cost=watch.cost,
    )


def unloaded(entry_point: EntryPoint, *, disabled: bool = False) -> Plugin:
    """What the metadata say of a plugin, without importing it."""
    dist = entry_point.dist
    return Plugin(
        entry_point.name,
        distribution_of(entry_point),
        module=entry_point.value,
        requires=tuple(dist.requires or ()) if dist is not None else (),
        disabled=disabled,
    )
