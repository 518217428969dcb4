"""What the machinery costs: microseconds a forward on a null model of 30 blocks.

Bare and watched forwards alternate within one process, so drift of the machine cannot favour one.

    python tests/benchmarks/overhead.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import sraccel
from sraccel.plugin import Accelerator, Call, DenoiserAdapter, hookimpl


class NullBlock(nn.Module):
    """Does nothing."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states


class NullDenoiser(nn.Module):
    """As many blocks as Wan2.1-1.3B has, without the arithmetic."""

    def __init__(self, blocks: int = 30) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.blocks = nn.ModuleList(NullBlock() for _ in range(blocks))

    def forward(self, hidden_states: torch.Tensor, timestep: Any = None) -> tuple[torch.Tensor]:
        for block in self.blocks:
            hidden_states = block(hidden_states)
        return (hidden_states,)


class NullAdapter(DenoiserAdapter):
    """The null model's family."""

    family = "null"
    modulated_inputs = ("hidden_states",)

    def recognises(self, module: nn.Module) -> bool:
        return isinstance(module, NullDenoiser)

    def blocks(self, module: Any) -> list[nn.Module]:
        return list(module.blocks)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        return call.block_input

    def interface(self, module: nn.Module) -> dict[str, object]:
        return {}


class NeverReuses(Accelerator):
    """Watches the blocks and always lets them run."""

    name = "never-reuses"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return False


class AlwaysReuses(Accelerator):
    """Watches the blocks and never lets them run."""

    name = "always-reuses"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return True


class AlwaysSkips(Accelerator):
    """Never lets the model be called."""

    name = "always-skips"

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return True


def forwards(denoiser: nn.Module, x: torch.Tensor, count: int) -> float:
    """Seconds of `count` bare forwards."""
    started = time.perf_counter()
    for _ in range(count):
        denoiser(x)
    return time.perf_counter() - started


def watched(accelerators: list[type[Accelerator]]) -> Callable[..., float]:
    """The same under a stack, two branches a step as with guidance."""

    def seconds(denoiser: nn.Module, x: torch.Tensor, count: int) -> float:
        recipe = [accelerator.Options(use=accelerator.name) for accelerator in accelerators]
        with (
            sraccel.compose(denoiser, recipe, adapters=[NullAdapter()]) as stack,
            stack.run(num_inference_steps=count // 2) as run,
        ):
            started = time.perf_counter()
            for index in range(count // 2):
                with run.step(index, timestep=0.0, sigma=1.0) as step:
                    for branch in ("cond", "uncond"):
                        with step.branch(branch):
                            denoiser(x)
            return time.perf_counter() - started

    return seconds


def main() -> None:
    """Print the median cost of a forward, and what watching adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--forwards", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    denoiser, x = NullDenoiser().eval(), torch.zeros(1, 8, 8)
    ways = {
        "bare": forwards,
        "empty stack": watched([]),
        "blocks watched": watched([NeverReuses]),
        "blocks skipped": watched([AlwaysReuses]),
        "calls skipped": watched([AlwaysSkips]),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    with torch.no_grad():
        for _ in range(arguments.rounds):
            for name, measure in ways.items():
                seconds = measure(denoiser, x, arguments.forwards)
                times[name].append(seconds / arguments.forwards * 1e6)
    bare = statistics.median(times["bare"])
    for name, values in times.items():
        middle, best = statistics.median(values), min(values)
        added = statistics.median(a - b for a, b in zip(values, times["bare"], strict=True))
        print(
            f"{name:15} median {middle:6.1f} us a forward (least {best:6.1f}), "
            f"{middle / bare:5.2f} x bare, added {added:+6.1f} us"
        )


if __name__ == "__main__":
    main()
