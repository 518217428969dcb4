"""Which of the two models is on the device, and when it moves.

| residency | sketch steps | at the switch | render steps | after the run |
|---|---|---|---|---|
| `both` | both | nothing moves | both | both |
| `swap` | sketch | sketch leaves, then render comes | render | sketch is back |
| `prefetch` | sketch; render comes beside the last steps | wait for the copy | both | sketch |

After a run everything is where the pipeline expects it. A model that something else moves (model,
sequential or group offloading) is left to that; model offloading only lets go earlier.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.srdiffusion.options import Residency
from sraccel.plugin import Placement

if TYPE_CHECKING:
    import torch
    from torch import nn


class HostedWeights:
    """A model whose weights stay in main memory; `load` copies them to a device, `drop` lets go.

    Weights do not change in inference, so dropping copies nothing back.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._device = device
        self._tensors = [*module.parameters(), *module.buffers()]
        self._homes = [tensor.device for tensor in self._tensors]
        self._hosted = [self._host(tensor.data) for tensor in self._tensors]
        self._arrived: Any = None
        self.drop()

    def _host(self, data: torch.Tensor) -> torch.Tensor:
        data = data.cpu()
        return data.pin_memory() if self._device.type == "cuda" else data

    def load(self, *, beside: bool = False) -> None:
        """Copy the weights to the device; `beside`: on a stream of its own, without waiting."""
        import torch

        if not beside or self._device.type != "cuda":
            self._copy()
            return
        stream = _side_stream(self._device)
        with torch.cuda.stream(stream):
            self._copy()
            self._arrived = stream.record_event()

    def _copy(self) -> None:
        for tensor, hosted in zip(self._tensors, self._hosted, strict=True):
            tensor.data = hosted.to(self._device, non_blocking=True)

    def wait(self) -> None:
        """Make the device's work that follows wait for a copy that is under way."""
        import torch

        if self._arrived is None:
            return
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(self._arrived)
        for tensor in self._tensors:  # the allocator must not hand them out while they are read
            tensor.data.record_stream(stream)
        self._arrived = None

    def drop(self) -> None:
        """Let go of the copies on the device."""
        for tensor, hosted in zip(self._tensors, self._hosted, strict=True):
            tensor.data = hosted

    def restore(self) -> None:
        """Put the weights where they were found."""
        for tensor, hosted, home in zip(self._tensors, self._hosted, self._homes, strict=True):
            tensor.data = hosted.to(home)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One stream a device: the allocator keeps memory apart for each."""
    import torch

    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Residents:
    """`both`: nothing moves. Base class of the others.

    Args:
        sketches: the pipeline's own denoisers.
        pipeline: the pipeline, which may offload them itself.
    """

    def __init__(self, sketches: Sequence[nn.Module], pipeline: Any) -> None:
        self._sketches = sketches
        self._pipeline = pipeline

    @property
    def placement(self) -> Placement | None:
        """Where the render model is while the stack is attached; None: on the device."""
        return None

    def switch_may_come(self) -> None:
        """The next step may be the render model's."""

    def switched(self) -> None:
        """The render model is about to take its first step."""

    def run_finished(self) -> None:
        """The run is over, however it ended."""


class Prefetch(Residents):
    """The render model comes beside the sketch model's last steps, and leaves after the run."""

    @property
    def placement(self) -> Placement:
        return self._placed

    @contextmanager
    def _placed(self, render: nn.Module, device: torch.device) -> Iterator[None]:
        training = render.training
        render.eval()
        self._device = device
        self._render = HostedWeights(render, device)
        self._loaded = False
        try:
            yield
        finally:
            self.run_finished()
            self._render.restore()
            render.train(training)

    def switch_may_come(self) -> None:
        if not self._loaded:
            self._loaded = True  # first, so that a load that fails is let go of, too
            self._render.load(beside=True)

    def switched(self) -> None:
        self.switch_may_come()
        self._render.wait()

    def run_finished(self) -> None:
        if self._loaded:
            self._render.wait()
            self._render.drop()
            self._loaded = False


class Swap(Prefetch):
    """Only the model at work is on the device: at most the larger one's weights at a time."""

    def __init__(self, sketches: Sequence[nn.Module], pipeline: Any) -> None:
        super().__init__(sketches, pipeline)
        self._away: list[nn.Module] = []

    def switch_may_come(self) -> None:
        return None

    def switched(self) -> None:
        if not self._loaded:
            self._loaded = True
            for module in self._sketches:
                if self._send_away(module):
                    self._away.append(module)
            self._render.load()

    def run_finished(self) -> None:
        super().run_finished()
        while self._away:
            self._away.pop(0).to(self._device)

    def _send_away(self, module: nn.Module) -> bool:
        """Move a sketch model off the device; returns whether it must be brought back."""
        hook = offload_hook(module, self._pipeline)
        if hook is not None:  # it brings the model back by itself
            hook.offload()
            return False
        if is_managed(module) or next(module.parameters()).device != self._device:
            return False
        module.to("cpu")
        return True


RESIDENTS: dict[Residency, type[Residents]] = {
    "both": Residents,
    "swap": Swap,
    "prefetch": Prefetch,
}


def is_managed(module: nn.Module) -> bool:
    """Whether accelerate or diffusers moves a model's weights itself."""
    from diffusers.hooks.group_offloading import _is_group_offload_enabled

    hooked = any(hasattr(part, "_hf_hook") for part in module.modules())
    return hooked or bool(_is_group_offload_enabled(module))


def offload_hook(module: nn.Module, pipeline: Any) -> Any:
    """The hook by which `enable_model_cpu_offload` moves a model, or None."""
    hooks = getattr(pipeline, "_all_hooks", None) or []
    return next((hook for hook in hooks if getattr(hook, "model", None) is module), None)
