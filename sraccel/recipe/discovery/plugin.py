"""A plugin as it was found: what it offers, what is wrong with it, what importing it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sraccel.errors import PluginError
from sraccel.recipe.discovery.import_cost import ImportCost

Kind = Literal["accelerator", "family", "metric", "score", "recipe", "calibration"]


@dataclass(frozen=True)
class Offer:
    """One thing that a plugin brings.

    Attributes:
        kind: what it is.
        name: how a recipe or a report names it; of a family, its name.
        thing: the class, adapter, metric, score, path or calibration.
    """

    kind: Kind
    name: str
    thing: Any = field(repr=False, compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        """What only one plugin can bring: metrics and scores share their names."""
        if self.kind == "family":
            return (self.kind, self.name, self.thing.model_class)
        return ("metric or score" if self.kind in ("metric", "score") else self.kind, self.name)


@dataclass(frozen=True)
class Fault:
    """Something of a plugin that cannot be used, while the rest of it can.

    Attributes:
        what: the hook or the item.
        message: what is wrong, and what to do.
        name: the item's, if it has one.
    """

    what: str
    message: str
    name: str | None = None


@dataclass(frozen=True)
class Plugin:
    """One entry point of the group, imported or not.

    Attributes:
        name: the entry point's name.
        distribution: name and version of the package that it comes from.
        error: why nothing of it can be used, or None.
        offers: what it brings.
        faults: what of it cannot be used.
        module: what the entry point names, as in `package.module:object`.
        requires: what its distribution requires, as its metadata say.
        cost: of importing it; None: it was not imported.
        disabled: whether the user switched it off.
    """

    name: str
    distribution: str
    error: BaseException | None = None
    offers: tuple[Offer, ...] = ()
    faults: tuple[Fault, ...] = ()
    module: str = ""
    requires: tuple[str, ...] = ()
    cost: ImportCost | None = None
    disabled: bool = False

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Names of the accelerators that it brings."""
        return tuple(offer.name for offer in self.offers if offer.kind == "accelerator")

    @property
    def refusal(self) -> str:
        """Why nothing of it can be used: `cannot be imported` where that is so; else empty."""
        if self.error is None:
            return ""
        if isinstance(self.error, PluginError):
            return f"cannot be used: {self.error}"
        return f"cannot be imported: {type(self.error).__name__}: {self.error}"
