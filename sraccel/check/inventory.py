"""All that is installed, as plain data: what each plugin brings, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sraccel.check.obstacles import obstacles
from sraccel.loop.accelerator import Accelerator
from sraccel.loop.claims import claims_of
from sraccel.loop.hooks import HOOKS, is_implemented
from sraccel.recipe.catalogue import Catalogue
from sraccel.recipe.discovery.import_cost import ImportCost, measured_alone
from sraccel.recipe.discovery.plugin import Kind, Offer, Plugin

LISTS: dict[Kind, str] = {
    "accelerator": "accelerators",
    "family": "families",
    "metric": "metrics",
    "score": "scores",
    "recipe": "recipes",
    "calibration": "calibrations",
}
"""The list of each kind."""


def inventory(catalogue: Catalogue) -> dict[str, Any]:
    """Lists by kind; `faults`, `heavy_imports` and `disabled` say what is not as it should be."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in LISTS.values()}
    for plugin in catalogue.plugins:
        for offer in plugin.offers:
            rows[LISTS[offer.kind]].append(row(offer, plugin))
    listed = {name: sorted(found, key=lambda one: str(one["name"])) for name, found in rows.items()}
    return {
        **listed,
        "faults": [fault for plugin in catalogue.plugins for fault in _faults(plugin)],
        "heavy_imports": list(_heavy(catalogue.plugins)),
        "disabled": [_where(plugin) for plugin in catalogue.plugins if plugin.disabled],
    }


def row(offer: Offer, plugin: Plugin) -> dict[str, Any]:
    """One thing that can be named, where it comes from, and whether it can run here."""
    found = obstacles(offer, plugin)
    return {
        "name": offer.name,
        **_where(plugin),
        **_more(offer),
        "runs_here": not found,
        "obstacles": [asdict(one) for one in found],
    }


def accelerator_row(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """The row of one accelerator.

    Raises:
        PluginError, KeyError: as `Catalogue.accelerator`.
    """
    accelerator = catalogue.accelerator(name)
    for plugin in catalogue.plugins:
        for offer in plugin.offers:
            if offer.kind == "accelerator" and offer.name == name:
                return row(offer, plugin)
    return row(Offer("accelerator", name, accelerator), Plugin("", catalogue.origin(name)))


def _where(plugin: Plugin) -> dict[str, Any]:
    return {"plugin": plugin.name or None, "distribution": plugin.distribution}


def _more(offer: Offer) -> dict[str, Any]:
    if offer.kind == "family":
        return {"model_class": offer.thing.model_class}
    return _of_accelerator(offer.thing) if offer.kind == "accelerator" else {}


def _of_accelerator(accelerator: type[Accelerator]) -> dict[str, Any]:
    hooks = [name for name in HOOKS if is_implemented(accelerator, name)]
    families = accelerator.families
    return {
        "summary": accelerator.summary(),
        "claims": [claim.name for claim in claims_of(accelerator, hooks)],
        "families": None if families is None else sorted(families),
        "hooks": hooks,
    }


def _faults(plugin: Plugin) -> Iterator[dict[str, Any]]:
    if plugin.refusal:
        yield {**_where(plugin), "what": "plugin", "message": plugin.refusal}
    for fault in plugin.faults:
        yield {**_where(plugin), "what": fault.what, "message": fault.message}


def _heavy(plugins: list[Plugin]) -> Iterator[dict[str, Any]]:
    """Plugins that import torch or its like when they are imported.

    Behind the first one the others' imports are hidden: they are measured again, each alone, but
    for sraccel's own, which import none.
    """
    seen = False
    for plugin in plugins:
        cost = plugin.cost
        own = plugin.module.startswith("sraccel.")
        if cost is not None and seen and not cost.heavy and not own:
            cost = measured_alone(plugin.module.partition(":")[0])
        if cost is not None and cost.heavy:
            seen = True
            yield {**_where(plugin), **_spoken(cost)}


def _spoken(cost: ImportCost) -> dict[str, Any]:
    return {"imports": list(cost.heavy), "seconds": round(cost.seconds, 2)}
