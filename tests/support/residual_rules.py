"""Accelerators and plain hooks that the tests of model families have in common."""

from __future__ import annotations

from typing import Any

import torch
from tiny import TinyFamily
from tiny.family import BlockStack
from torch import nn

from sraccel.plugin import Accelerator, Call, hookimpl


class ReuseFromStep1(Accelerator):
    """Computes step 0, then reuses its residual."""

    name = "reuse-from-step-1"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return True


def blocks_of(tiny: TinyFamily) -> BlockStack:
    assert tiny.blocks is not None
    return tiny.blocks


class OfficialArithmetic:
    """Reuses each branch's first residual, by torch's own hooks and without sraccel.

    The residual ends where the official code of TeaCache lets it end: at the last block, or at the
    family's tail. Nothing is skipped here: all blocks run, and their result is replaced.
    """

    def __init__(self, model: Any, tiny: TinyFamily, branches: int) -> None:
        self.branches, self.stack = branches, blocks_of(tiny)
        self.residuals: dict[int, torch.Tensor] = {}
        self.calls = self.replaced = 0
        first, *_, last = self.stack.of(model)
        first.register_forward_pre_hook(self._begin, with_kwargs=True)
        if self.stack.tail is None:
            last.register_forward_hook(self._end_of_blocks)
        else:
            tail = model.get_submodule(self.stack.tail)
            tail.register_forward_pre_hook(lambda _, args: (self._end(args[0]), *args[1:]))

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.start = self.stack.start(args, kwargs)
        self.branch, self.calls = self.calls % self.branches, self.calls + 1

    def _end_of_blocks(self, block: nn.Module, args: Any, output: Any) -> Any:
        hidden = self._end(self.stack.hidden(output))
        return self.stack.with_hidden(output, hidden)

    def _end(self, computed: torch.Tensor) -> torch.Tensor:
        if self.branch in self.residuals:
            reused = self.start + self.residuals[self.branch]
            self.replaced += not torch.equal(reused, computed)
            return reused
        self.residuals[self.branch] = computed - self.start
        return computed


class SeesModulatedInput(Accelerator):
    """Asks for the family's modulated inputs, and lets the blocks run."""

    name = "sees-modulated-input"
    seen: list[torch.Tensor]

    @hookimpl
    def skip_blocks(self, call: Call) -> None:
        adapter = call.denoiser.adapter
        self.seen = getattr(self, "seen", [])
        self.seen.append(call.modulated_input())
        assert torch.equal(self.seen[-1], call.modulated_input(adapter.modulated_inputs[0]))
