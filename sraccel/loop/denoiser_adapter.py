"""What sraccel must know of a family of denoisers; one subclass, in one file, a family."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sraccel.errors import ConflictError, ModelError
from sraccel.loop.placement import arrives_late

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sraccel.loop.call import Call


HIDDEN, ENCODER = "hidden_states", "encoder_hidden_states"
"""Names of the streams: the video's (or image's), and the text's."""


class DenoiserAdapter(ABC):
    """A family's block stack, its carried stream and its modulated inputs.

    The *block stack* is the run of blocks that a cache may skip. The *carried* stream is the one
    whose change over the stack is the residual: the hidden states of the video. Importing an
    adapter's module must not import torch.

    Most families are described by the attributes below; a method is overridden where those do not
    suffice.

    Attributes:
        family: the family's name, as in `Accelerator.families`.
        model_class: name of the class of its models; subclasses count.
        block_lists: attributes of the model that hold the blocks, in the order in which they run;
            empty: it has no block stack.
        streams: what a block returns: the carried stream alone, or that and the text's, in order; a
            block that is given no text returns one joined stream.
        tail_name: attribute of the model, the module at whose first argument the residual ends;
            None: it ends at the last block's output.
        shared_config: keys of the configuration in which two models must agree to take each
            other's place.
        modulated_inputs: names that `modulated_input` takes; the first is the default.
        timestep_scale: what the family's pipelines multiply the scheduler's timestep by.
        timestep_offset: what they add then.
        latents: name of the argument of `forward` that holds the noisy latents.
        timestep: name of the argument of `forward` that holds the timestep.
        of_one_model: arguments of `forward` that fit only the model that they were made for, and
            what each is, in words; where a loop passes one, no other model can answer.
        timesteps_known: whether `model_timestep` says what the model is given; if not, a call whose
            timestep cannot be read is taken to be of the watched loop.
        predicts_for_scheduler: whether the family's pipelines hand the model's prediction to the
            scheduler as it is (guidance aside); False where they negate or rescale it.
        one_scheduler: whether the family's pipelines step by their scheduler alone; False where a
            copy of it steps a second output, of which only the loop knows.
        requires: packages that the family's models need, as in `diffusers>=0.42`.
    """

    family: ClassVar[str]
    model_class: ClassVar[str]
    block_lists: ClassVar[tuple[str, ...]] = ()
    streams: ClassVar[tuple[str, ...]] = (HIDDEN,)
    tail_name: ClassVar[str | None] = None
    shared_config: ClassVar[tuple[str, ...]] = ()
    modulated_inputs: ClassVar[tuple[str, ...]]
    timestep_scale: ClassVar[float] = 1.0
    timestep_offset: ClassVar[float] = 0.0
    latents: ClassVar[str] = "hidden_states"
    timestep: ClassVar[str] = "timestep"
    of_one_model: ClassVar[Mapping[str, str]] = {}
    timesteps_known: ClassVar[bool] = True
    predicts_for_scheduler: ClassVar[bool] = True
    one_scheduler: ClassVar[bool] = True
    requires: ClassVar[Sequence[str]] = ()

    def recognises(self, module: nn.Module) -> bool:
        """Whether this module is a denoiser of the family."""
        return any(base.__name__ == self.model_class for base in type(module).__mro__)

    def blocks(self, module: nn.Module) -> Sequence[nn.Module]:
        """The block stack, in the order in which `forward` runs it; empty: it has none.

        A denoiser without a block stack (a UNet, whose blocks feed one another across) runs in a
        stack, but no cache can skip its blocks.
        """
        return [block for name in self.block_lists for block in getattr(module, name)]

    def first_block(self, module: nn.Module) -> Any:
        """The block that `modulated_input` may ask for its norm; as `blocks(module)[0]`.

        Raises:
            ConflictError: its weights are elsewhere until it runs.
        """
        block = getattr(module, self.block_lists[0])[0]
        if arrives_late(block):
            raise ConflictError(
                f"what {self.family!r} models decide by is computed with the first block's "
                f"weights, which block-wise offloading brings only when the block runs: use "
                f"`enable_model_cpu_offload()` or group offloading by leaves, or leave out "
                f"accelerators that ask for the modulated input"
            )
        return block

    @abstractmethod
    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        """The tensor whose change from step to step predicts how much the output will change."""

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        """What two models must share to take each other's place in a sampling loop."""
        config = getattr(module, "config", {})
        facts = {key: config[key] for key in self.shared_config}
        if facts.get("out_channels", 0) is None:  # as diffusers writes "as many as in_channels"
            facts["out_channels"] = config["in_channels"]
        return facts

    def model_timestep(self, timestep: float) -> float:
        """What the family's pipelines pass to the model for the scheduler's timestep."""
        return timestep * self.timestep_scale + self.timestep_offset

    def model_timesteps(self, timestep: float, sigma: float | None) -> Sequence[float]:
        """All that a pipeline may pass for the scheduler's timestep, or its noise level."""
        return (self.model_timestep(timestep),)

    def loop_timestep(self, given: float) -> float:
        """The scheduler's timestep behind what the model was given."""
        return (given - self.timestep_offset) / self.timestep_scale

    def check_sibling(self, own: nn.Module, other: nn.Module) -> None:
        """Raise ModelError if a loop around `own` does not compute something that `other` needs.

        For what goes one way only; what both must have alike is their `interface`.
        """
        return

    def check_control(self, controlnet: nn.Module, other: nn.Module) -> None:
        """Raise ModelError if `other` cannot use what a pipeline's ControlNet adds.

        It is made for the pipeline's own model.
        """
        for name, what in self.of_one_model.items():
            if "ControlNet" in what:
                raise ModelError(
                    f"the pipeline has a {type(controlnet).__name__}, which was made for its own "
                    f"model: what it adds (`{name}`) means something else to another one. Leave "
                    f"the second model out, or take the pipeline without a ControlNet"
                )

    def sibling_arguments(self, module: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
        """What to pass to `module` of the arguments that a loop passes to another of the family.

        Raises:
            ModelError: one of them was made for the loop's own model.
        """
        for name, what in self.of_one_model.items():
            if _is_given(arguments.get(name)):
                raise ModelError(
                    f"the pipeline passes `{name}` ({what}), which was made for its own model and "
                    f"means something else to another one: leave it out, or run without a second "
                    f"model"
                )
        return arguments

    def tail(self, module: nn.Module) -> nn.Module | None:
        """The module at whose first argument the residual ends; None: the last block's output."""
        return None if self.tail_name is None else getattr(module, self.tail_name)

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Modules whose output `modulated_input` needs, by the name under `call.taps`."""
        return {}

    def block_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """The carried stream among the arguments of a block."""
        tensor: torch.Tensor = argument(args, kwargs, 0, "hidden_states")
        return tensor

    def unchanged(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a block that does nothing returns for these arguments."""
        hidden = self.block_input(args, kwargs)
        encoder = args[1] if len(args) > 1 else kwargs.get(ENCODER)
        if self.streams == (HIDDEN,) or encoder is None:
            return hidden
        return tuple(hidden if stream == HIDDEN else encoder for stream in self.streams)

    def carried(self, output: Any) -> torch.Tensor:
        """The carried stream in a block's output."""
        several = isinstance(output, tuple)
        tensor: torch.Tensor = output[self.streams.index(HIDDEN)] if several else output
        return tensor

    def with_carried(self, output: Any, carried: torch.Tensor) -> Any:
        """A block's output with another carried stream."""
        if not isinstance(output, tuple):
            return carried
        position = self.streams.index(HIDDEN)
        return (*output[:position], carried, *output[position + 1 :])


def _is_given(value: Any) -> bool:
    return bool(value) if isinstance(value, (tuple, list, dict)) else value is not None


def named(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call of `module`, all by name."""
    if not args:
        return {**kwargs}
    return {**dict(zip(parameters_of(type(module)), args, strict=False)), **kwargs}


def parameters_of(model_class: type) -> tuple[str, ...]:
    """Names of the arguments of a model's `forward`."""
    return _parameters_of(cast(Any, model_class))


@functools.cache
def _parameters_of(model_class: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(model_class.forward).parameters)[1:]


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """An argument that a block may get by position or by name."""
    return args[position] if len(args) > position else kwargs[name]
