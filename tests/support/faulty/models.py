"""Accelerators that change, replace or bring models wrongly."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig, apply_first_block_cache
from diffusers.hooks import HookRegistry

from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    Denoiser,
    Run,
    Stack,
    Step,
    hookimpl,
)

LEFT_BY_DIFFUSERS = ("forward", "_diffusers_hook", "_cache_config", "_is_stateful")


class ChangesAWeight(Accelerator):
    """Changes a weight of the model when a run starts."""

    name = "changes-a-weight"

    @hookimpl
    def run_started(self, run: Run) -> None:
        next(run.stack.own.module.parameters()).add_(0.05)


class SkipsByItself(Accelerator):
    """Leaves out the last block of every other step, and neither says nor claims it."""

    name = "skips-by-itself"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        block: Any = denoiser.adapter.blocks(denoiser.module)[-1]
        inner = block.forward

        def forward(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            call = denoiser.current_call
            if call is not None and call.step.index % 2:
                return hidden
            found: torch.Tensor = inner(hidden, *args, **kwargs)
            return found

        try:
            block.forward = forward
            yield
        finally:
            del block.forward


class TurnsOnACache(Accelerator):
    """Turns on a cache of diffusers and claims nothing."""

    name = "turns-on-a-cache"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        module: Any = denoiser.module
        module.enable_cache(FirstBlockCacheConfig(threshold=0.9))
        try:
            yield
        finally:
            module.disable_cache()


class HooksInACache(Accelerator):
    """Hooks a cache of diffusers into the blocks, which no switch shows, and claims nothing."""

    name = "hooks-in-a-cache"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        apply_first_block_cache(denoiser.module, FirstBlockCacheConfig(threshold=0.9))
        registry = HookRegistry.check_if_exists_or_initialize(denoiser.module)
        registry.invalidate_child_registries_cache()
        try:
            yield
        finally:
            for name in ("fbc_leader_block_hook", "fbc_block_hook"):
                registry.remove_hook(name, recurse=True)
            registry.invalidate_child_registries_cache()


class AppendsABlock(Accelerator):
    """Appends a block to the model for each run, and takes it away again."""

    name = "appends-a-block"

    @hookimpl
    def run_started(self, run: Run) -> None:
        blocks: Any = run.stack.own.module.blocks
        blocks.append(copy.deepcopy(blocks[0]))

    @hookimpl
    def run_finished(self, run: Run) -> None:
        blocks: Any = run.stack.own.module.blocks
        del blocks[-1]


class BringsHalfAModel(Accelerator):
    """Brings a model of whose weights one was never loaded, and switches to it."""

    name = "brings-half-a-model"

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module
        name, weight = next(iter(module.blocks.named_parameters()))
        parent, _, last = name.rpartition(".")
        missing = torch.nn.Parameter(weight.to("meta"), requires_grad=False)
        setattr(module.blocks.get_submodule(parent), last, missing)

    @hookimpl
    def contribute_denoisers(self, stack: Stack) -> Mapping[str, Any]:
        return {"render": self._module}

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        return "render" if step.index >= 3 else None


class WrapsTheScheduler(Accelerator):
    """Wraps `scheduler.step` without its signature."""

    name = "wraps-the-scheduler"

    @hookimpl
    @contextmanager
    def prepare_pipeline(self, pipeline: Any) -> Iterator[None]:
        inner = pipeline.scheduler.step
        pipeline.scheduler.step = lambda *args, **kwargs: inner(*args, **kwargs)
        try:
            yield
        finally:
            del pipeline.scheduler.step


def halved(layer: Any, given: torch.Tensor) -> torch.Tensor:
    """A linear layer in half precision."""
    found = torch.nn.functional.linear(given.bfloat16(), layer.weight.bfloat16())
    return found.to(given.dtype)


class StaysInCopies(Accelerator):
    """Puts a method on layers that a copy of the model takes along."""

    name = "stays-in-copies"

    @hookimpl
    @contextmanager
    def prepare_denoiser(self, denoiser: Denoiser) -> Iterator[None]:
        layer: Any = denoiser.adapter.blocks(denoiser.module)[0].ffn.net[0].proj
        layer.forward = MethodType(halved, layer)
        try:
            yield
        finally:
            del layer.forward


class ForgetsToRestore(Accelerator):
    """Changes a layer for each run, and changes it back where the run is finished."""

    name = "forgets-to-restore"

    def _layer(self, run: Run) -> Any:
        return run.stack.own.adapter.blocks(run.stack.own.module)[0].ffn.net[0].proj

    @hookimpl
    def run_started(self, run: Run) -> None:
        layer = self._layer(run)
        layer.forward = MethodType(halved, layer)

    @hookimpl
    def run_finished(self, run: Run) -> None:
        if run.outcome == "finished":
            del self._layer(run).forward


class LeavesAutocast(Accelerator):
    """Asks the model in another precision than the loop's, even where it passes calls through."""

    name = "leaves-autocast"

    class Options(AcceleratorOptions):
        """Options."""

        strength: float = 1.0

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return call.evaluate() * self.options.strength
