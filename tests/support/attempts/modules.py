"""What changes the denoiser's modules: attention, weights, tokens, compilation, a foreign cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig
from torch import nn
from torch.nn.utils import parametrize

from sraccel.plugin import Accelerator, Call, Denoiser, hookimpl


class BroadcastProcessor:
    """Pyramid attention broadcast (arXiv 2408.12588): an attention's output, reused."""

    def __init__(self, inner: Any, broadcast: Broadcast, denoiser: Denoiser, place: int) -> None:
        self.inner, self.broadcast = inner, broadcast
        self.denoiser, self.place = denoiser, place

    def __call__(self, attention: nn.Module, *args: Any, **kwargs: Any) -> Any:
        call = self.denoiser.current_call
        if call is None:
            return self.inner(attention, *args, **kwargs)
        kept: dict[int, Any] = call.memory(self.broadcast, dict)
        if call.step.solver_step % self.broadcast.every and self.place in kept:
            self.broadcast.reused(call)
            return kept[self.place]
        output = kept[self.place] = self.inner(attention, *args, **kwargs)
        return output


class Broadcast(Accelerator):
    """Computes the attention of every n-th step, and says what share of the work that saves."""

    name = "attention-broadcast"
    claims = frozenset({"attention"})

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self._share: dict[str, float] = {}

    def reused(self, call: Call) -> None:
        share = self._share[call.denoiser.role]
        call.skipped(self, min(call.skips.get(self.name, 0.0) + share, 1.0))

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        blocks: Any = denoiser.adapter.blocks(denoiser.module)
        self._share[denoiser.role] = 0.3 / len(blocks)
        before = [block.attn1.processor for block in blocks]
        try:
            for place, block in enumerate(blocks):
                inner = block.attn1.processor
                block.attn1.set_processor(BroadcastProcessor(inner, self, denoiser, place))
            yield
        finally:
            for block, processor in zip(blocks, before, strict=True):
                block.attn1.set_processor(processor)


class Rounded(nn.Module):
    """Weights as int8 has them, a scale for each output."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / self.levels
        return (weight / scale).round() * scale


class QuantisedWeights(Accelerator):
    """Rounds the weights of the blocks' linear layers; what torchao does, without its kernels."""

    name = "quantised-weights"
    claims = frozenset({"linear"})
    claims_speed = False

    def __init__(self, levels: int | None) -> None:
        super().__init__()
        self.levels = levels

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        layers = [
            layer
            for block in denoiser.adapter.blocks(denoiser.module) * (self.levels is not None)
            for layer in block.modules()
            if isinstance(layer, nn.Linear)
        ]
        rounded = Rounded(self.levels or 1)
        try:
            for layer in layers:
                parametrize.register_parametrization(layer, "weight", rounded)
            yield
        finally:
            for layer in layers:
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


class FewerTextTokens(Accelerator):
    """Lets the blocks attend to the first tokens of the prompt only."""

    name = "fewer-text-tokens"
    claims = frozenset({"tokens"})

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.kept = kept

    def _shorten(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        hidden, text, *more = args
        return (hidden, text[:, : self.kept], *more), kwargs

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        blocks: Any = denoiser.adapter.blocks(denoiser.module)
        with ExitStack() as undo:
            for block in blocks:
                hook = block.attn2.register_forward_pre_hook(self._shorten, with_kwargs=True)
                undo.callback(hook.remove)
            yield


class FirstBlockCache(Accelerator):
    """Diffusers' own cache: it skips by itself, so it says what it skipped."""

    name = "diffusers-first-block-cache"
    claims = frozenset({"rule", "predictor"})

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self._ran: set[int] = set()

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        module: Any = denoiser.module
        blocks: Any = denoiser.adapter.blocks(module)
        seen = blocks[-1].attn1.register_forward_hook(lambda *_: self._note(denoiser))
        module.enable_cache(FirstBlockCacheConfig(threshold=self.threshold))
        try:
            yield
        finally:
            module.disable_cache()
            seen.remove()

    def _note(self, denoiser: Denoiser) -> None:
        if denoiser.current_call is not None:
            self._ran.add(id(denoiser.current_call))

    @hookimpl
    def denoiser_called(self, call: Call) -> None:
        blocks = call.denoiser.adapter.blocks(call.denoiser.module)
        if id(call) not in self._ran:
            call.skipped(self, 1 - 1 / len(blocks))
        self._ran.discard(id(call))


class RegionalCompile(Accelerator):
    """Compiles the repeated blocks; must come after whatever replaces their linear layers."""

    name = "regional-compile"
    claims = frozenset({"compilation"})

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        blocks: Any = denoiser.module.blocks
        plain = list(blocks)
        try:
            for place, block in enumerate(plain):
                blocks[place] = torch.compile(block, backend="eager")
            yield
        finally:
            for place, block in enumerate(plain):
                blocks[place] = block
