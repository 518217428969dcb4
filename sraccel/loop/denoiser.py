"""A denoiser of a stack: a module, the role that it plays, and its family's adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import ModelError, PluginError
from sraccel.loop.unknown_family import UnknownFamily, is_denoiser

if TYPE_CHECKING:
    from torch import nn

    from sraccel.loop.call import Call
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.loop.placement import Placement
    from sraccel.noise.space import NoiseSpace


ROLES = ("transformer", "transformer_2", "unet")
"""Attributes of a pipeline that hold denoisers; they are these denoisers' roles, too."""


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A model that predicts noise.

    Attributes:
        role: what it is in the stack: the attribute that holds it in the pipeline
            (`transformer`, `transformer_2`, `unet`), `denoiser` for a bare module, or what an
            accelerator that brings it calls it (`render`).
        module: the model.
        adapter: what is known of its family.
        pipeline: the pipeline it belongs to, if any; for recognition, never for control.
        noise_space: what its inputs and predictions mean, if that is known.
        attribute: the loop's own word for it; empty if an accelerator brings it.
        calls: those that it serves now, innermost last; see `current_call`.
    """

    role: str
    module: nn.Module
    adapter: DenoiserAdapter
    pipeline: Any = None
    noise_space: NoiseSpace | None = None
    attribute: str = ""
    calls: list[Call] = field(default_factory=list, repr=False)

    @property
    def current_call(self) -> Call | None:
        """The call that the model serves now, for code inside it; None between calls."""
        return self.calls[-1] if self.calls else None

    @property
    def family(self) -> str:
        """Name of the model family."""
        return self.adapter.family

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's configuration."""
        config: Mapping[str, Any] = getattr(self.module, "config", {})
        return config

    def describe(self) -> dict[str, Any]:
        """Facts for the report."""
        parameters = list(self.module.parameters())
        return {
            "class": type(self.module).__name__,
            "family": self.family,
            "parameters": sum(parameter.numel() for parameter in parameters),
            "dtype": str(parameters[0].dtype).removeprefix("torch.") if parameters else None,
            "name_or_path": self.config.get("_name_or_path"),
        }

    def beside_its_weights(self, name: str) -> list[Path]:
        """Files of this name in the model's folder, and in the pipeline's, where it came from."""
        location = self.config.get("_name_or_path")
        folders = (Path(location), Path(location).parent) if location else ()
        return [path for folder in folders if (path := folder / name).is_file()]

    def __repr__(self) -> str:
        return f"Denoiser({self.role}, {type(self.module).__name__})"


def denoisers_in(pipeline: Any) -> dict[str, nn.Module]:
    """The denoisers of a pipeline by attribute, the first one first; empty: it has none.

    Most have them under one of a few names; of others, every component that denoises is taken
    (Kandinsky's `prior`, the `decoder` of Stable Cascade).
    """
    found = {name: getattr(pipeline, name, None) for name in ROLES}
    if any(module is not None for module in found.values()):
        return {name: module for name, module in found.items() if module is not None}
    components: Mapping[str, Any] = getattr(pipeline, "components", {})
    return {name: module for name, module in components.items() if is_denoiser(module)}


def denoiser_of(
    denoisers: Mapping[str, Denoiser], role: str, asked_by: str | None = None
) -> Denoiser:
    """The denoiser of a role.

    Raises:
        PluginError: there is none.
    """
    if role not in denoisers:
        raise PluginError(
            f"accelerator {asked_by!r} chose the denoiser {role!r}, which this stack does not "
            f"have (it has: {', '.join(denoisers)})",
            accelerator=asked_by,
        )
    return denoisers[role]


@dataclass(frozen=True, eq=False)
class Contribution:
    """A denoiser that an accelerator brings.

    Attributes:
        module: the model.
        noise_space: what its inputs and predictions mean; None takes the pipeline's own model's.
        placement: where the model is while the stack is attached: `placement(module, device)` is
            entered on attaching and left on detaching. None: on the device, all the time.
    """

    module: nn.Module
    noise_space: NoiseSpace | None = None
    placement: Placement | None = None


def recognise(
    role: str,
    module: nn.Module,
    adapters: Sequence[DenoiserAdapter],
    pipeline: Any = None,
    noise_space: NoiseSpace | None = None,
    attribute: str = "",
) -> Denoiser:
    """Find the adapter of a module; arguments as the attributes of `Denoiser`.

    Where no adapter recognises it, it is the only model of its family: its class.

    Raises:
        ModelError: it is no denoiser.
    """
    for adapter in adapters:
        if adapter.recognises(module):
            return Denoiser(role, module, adapter, pipeline, noise_space, attribute)
    if is_denoiser(module):
        unknown = UnknownFamily(module)
        return Denoiser(role, module, unknown, pipeline, noise_space, attribute)
    families = ", ".join(sorted(adapter.family for adapter in adapters)) or "none"
    raise ModelError(
        f"{type(module).__name__} is no denoiser: its forward takes no timestep, and no adapter "
        f"knows it (families: {families}); a plugin can add one with the hook "
        f"sraccel_denoiser_adapters",
        model=type(module).__name__,
    )
