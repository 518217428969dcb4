"""A block stack that was seen to run, in a model of which no adapter says where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sraccel.errors import ConflictError
from sraccel.loop.denoiser_adapter import parameters_of

if TYPE_CHECKING:
    import torch
    from torch import nn

HIDDEN_NAMES = ("hidden_states", "x")
"""What blocks call the stream that they carry, beside what diffusers' registry says."""
TIME_NAMES = ("temb", "timestep_proj", "adaln_input", "time_embed", "vec", "timestep")
"""What blocks call the time embedding that they are modulated by."""


@dataclass(frozen=True)
class Parameter:
    """An argument of a block's `forward`, which may be given by position or by name."""

    position: int
    name: str

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The argument itself; None: it was not given."""
        return args[self.position] if len(args) > self.position else kwargs.get(self.name)


Output = Parameter | tuple[Parameter | None, ...]
"""What a block that does nothing returns: an argument, or a tuple of them (None: None)."""
Pattern = tuple[int, tuple[str, ...]]
"""How a block is called: (number of arguments by position, names of the others)."""


@dataclass(frozen=True)
class FoundBlocks:
    """Where a model's blocks are, and what becomes of the streams that they carry.

    Attributes:
        blocks: in the order in which they ran.
        tail: the module at whose first argument the residual ends; None: the last block's output.
        start: the carried stream among the first block's arguments.
        end: position of the carried stream in the last block's output; None: it is all of it.
        outputs: what a block that does nothing returns, by how it is called.
    """

    blocks: tuple[nn.Module, ...]
    tail: nn.Module | None
    start: Parameter
    end: int | None
    outputs: Mapping[Pattern, Output]

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a block that does nothing returns for these arguments.

        Raises:
            ConflictError: no block was called in this way when the blocks were found.
        """
        output = self.outputs.get(pattern_of(args, kwargs))
        if output is None:
            raise ConflictError(
                "a block was called with other arguments than when the model's blocks were found, "
                "so it is not known what it would return if it did nothing: add an adapter"
            )
        if isinstance(output, Parameter):
            return output.of(args, kwargs)
        return tuple(None if one is None else one.of(args, kwargs) for one in output)

    def carried(self, output: Any) -> torch.Tensor:
        """The carried stream in the last block's output."""
        tensor: torch.Tensor = output if self.end is None else output[self.end]
        return tensor

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        """The last block's output with another carried stream."""
        if self.end is None:
            return carried
        return (*output[: self.end], carried, *output[self.end + 1 :])


def pattern_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Pattern:
    """How a block is called."""
    return len(args), tuple(sorted(kwargs))


def candidate_blocks(model: nn.Module) -> dict[str, Sequence[nn.Module]]:
    """Lists of modules that may be a model's blocks, by name; empty: it has no stack of them.

    Those that the model holds itself, else those of its parts. A UNet has none: its blocks feed
    one another across.
    """
    from torch import nn

    if hasattr(model, "down_blocks") and hasattr(model, "up_blocks"):
        return {}
    own = {name: part for name, part in model.named_children() if isinstance(part, nn.ModuleList)}
    if own:
        return {name: list(part) for name, part in own.items() if len(part)}
    return {
        name: list(part)
        for name, part in model.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) and not name.rpartition(".")[0].isdigit()
    }


def carried_parameters(block: nn.Module) -> Iterator[Parameter]:
    """Arguments that may be the carried stream, the likeliest first."""
    names = parameters_of(type(block))
    known = _registered(block)
    wanted = [*([known.hidden_states_argument_name] if known else []), *HIDDEN_NAMES, names[0]]
    for name in dict.fromkeys(name for name in wanted if name in names):
        yield Parameter(names.index(name), name)


def carried_position(block: nn.Module) -> int | None:
    """Where diffusers' block registry has the carried stream in a block's output, if it knows."""
    known = _registered(block)
    position: int | None = known.return_hidden_states_index if known else None
    return position


def time_parameter(block: nn.Module) -> Parameter | None:
    """The argument by which a block is given the time embedding; None: it has none."""
    names = parameters_of(type(block))
    name = next((name for name in TIME_NAMES if name in names), None)
    return None if name is None else Parameter(names.index(name), name)


def _registered(block: nn.Module) -> Any:
    """What diffusers' own block registry knows of a class of blocks; None: nothing."""
    try:
        from diffusers.hooks._helpers import TransformerBlockRegistry
    except ImportError:  # it is not public
        return None
    try:
        return TransformerBlockRegistry.get(type(block))
    except ValueError:
        return None
