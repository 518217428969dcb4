"""What can be said of a denoiser that no adapter knows: enough to call it, not to look inside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError
from sraccel.loop.denoiser_adapter import DenoiserAdapter, parameters_of
from sraccel.loop.found_blocks import FoundBlocks, candidate_blocks, time_parameter

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sraccel.loop.call import Call

TIME_EMBEDDING = "time_embedding"
TIMESTEPS = ("timestep", "timesteps", "t", "timestep_ratio")
"""How diffusers' denoisers call the timestep that they take."""
OUTWARD = re.compile(
    r"channels|(cross|joint)_attention_dim|^(text|cap|caption|context|image|pooled|encoder|class|"
    r"addition|projection|time_cond|guidance)|_text_|patch_size|embeds$"
)
"""Keys of a configuration that say what goes into a model and what comes out."""
INWARD = re.compile(r"block_out_channels|caption_projection_dim|_layers$|_heads$|eps$")
"""Keys that look like that, and say how large the model is."""


class UnknownFamily(DenoiserAdapter):
    """The family of one model's class, known by its signature and its configuration alone.

    Its blocks are those of its lists of modules, until they have been seen to run; then they are
    what was found. Pipelines hand it the scheduler's timestep in one of a few units, or in one that
    cannot be read.

    Attributes:
        found: the block stack, once a call has shown it.
    """

    timesteps_known = False
    predicts_for_scheduler = False  # it is not known whether they do

    def __init__(self, module: nn.Module) -> None:
        model_class = type(module)
        parameters = parameters_of(model_class)
        self.found: FoundBlocks | None = None
        self.family = model_class.__name__  # type: ignore[misc]
        self.latents = parameters[0]  # type: ignore[misc]
        self.timestep = timestep_parameter(model_class) or ""  # type: ignore[misc]
        timed = any(time_parameter(block) for block in self.blocks(module))
        self.modulated_inputs = (TIME_EMBEDDING,) if timed else ()  # type: ignore[misc]
        self.of_one_model = {  # type: ignore[misc]
            name: "what a ControlNet adds after its blocks"
            for name in parameters
            if "controlnet" in name or name.endswith("additional_residuals")
        }

    def recognises(self, module: nn.Module) -> bool:
        return type(module).__name__ == self.family

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """Whatever of the configuration is about inputs and outputs."""
        config: Mapping[str, Any] = getattr(module, "config", {})
        return {
            key: config[key]
            for key in config
            if OUTWARD.search(key) and not INWARD.search(key) and not key.startswith("_")
        }

    def model_timesteps(self, timestep: float, sigma: float | None) -> Sequence[float]:
        """The scheduler's timestep in the units that diffusers' pipelines pass."""
        found = [timestep, float(int(timestep)), timestep / 1000, 1 - timestep / 1000, timestep - 1]
        if sigma is not None:
            found += [sigma, 1 - sigma, sigma / (sigma + 1)]
            if 0 < sigma < math.inf:
                found += [math.log(sigma) / 4, math.atan(sigma)]
        return found

    def blocks(self, module: nn.Module) -> Sequence[nn.Module]:
        """The blocks that were found; before that, all that may be blocks."""
        if self.found is not None:
            return self.found.blocks
        return [block for blocks in candidate_blocks(module).values() for block in blocks]

    def tail(self, module: nn.Module) -> nn.Module | None:
        return self._shown.tail

    def block_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        tensor: torch.Tensor = self._shown.start.of(args, kwargs)
        return tensor

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._shown.unchanged(args, kwargs)

    def carried(self, output: Any) -> torch.Tensor:
        return self._shown.carried(output)

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        return self._shown.with_carried(output, carried)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        """The time embedding that the first block is given.

        Raises:
            ConflictError: it is given none.
        """
        import torch

        parameter = time_parameter(self._shown.blocks[0])
        found = None if parameter is None else parameter.of(*call.block_arguments)
        if not isinstance(found, torch.Tensor):
            raise ConflictError(
                f"no adapter knows {self.family}, and its first block is given no time embedding, "
                f"so there is no modulated input: leave accelerators that ask for one out of the "
                f"recipe, or add an adapter"
            )
        return found

    @property
    def _shown(self) -> FoundBlocks:
        if self.found is None:
            raise ConflictError(
                f"no adapter knows {self.family}, and no call has shown its blocks yet"
            )
        return self.found


def is_denoiser(module: Any) -> bool:
    """Whether a component of a pipeline denoises: its `forward` takes latents and a timestep."""
    forward = getattr(type(module), "forward", None)
    helper = re.search("ControlNet|Adapter|Autoencoder|Decoder", type(module).__name__)
    return forward is not None and not helper and timestep_parameter(type(module)) is not None


def timestep_parameter(model_class: type) -> str | None:
    """Name under which a class of models takes the timestep; None: it takes none."""
    parameters = parameters_of(model_class)[1:]
    return next((name for name in TIMESTEPS if name in parameters), None)
