"""Another family takes one adapter and no other change: two streams, a tail, an own timestep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from residual_rules import ReuseFromStep1
from torch import nn

import sraccel
from sraccel.plugin import Call, DenoiserAdapter


class TwoStreamBlock(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, *, encoder: torch.Tensor, hidden: torch.Tensor) -> Any:
        return encoder + 1, hidden + self.scale * encoder.mean()


class TwoStreamDenoiser(nn.Module):
    """Blocks take and return (encoder, hidden); a norm lies between the last block and the tail."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TwoStreamBlock(float(n)) for n in range(1, 4))
        self.norm = nn.LayerNorm(4)
        self.proj_out = nn.Linear(4, 4)
        self.encoders: list[float] = []

    def forward(self, hidden_states: torch.Tensor, timestep: Any, text: torch.Tensor) -> Any:
        hidden, encoder = hidden_states, text
        for block in self.blocks:
            encoder, hidden = block(encoder=encoder, hidden=hidden)
        self.encoders.append(float(encoder.mean()))
        return (self.proj_out(self.norm(hidden)),)


class TwoStreamAdapter(DenoiserAdapter):
    """The one file that a new family needs."""

    family = "two-stream"
    modulated_inputs = ("hidden",)

    def recognises(self, module: nn.Module) -> bool:
        return isinstance(module, TwoStreamDenoiser)

    def blocks(self, module: Any) -> Sequence[nn.Module]:
        return list(module.blocks)

    def tail(self, module: Any) -> nn.Module:
        return module.proj_out

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        return call.block_input

    def interface(self, module: nn.Module) -> Mapping[str, object]:
        return {}

    def block_input(self, args: Any, kwargs: Any) -> torch.Tensor:
        return kwargs["hidden"]

    def unchanged(self, args: Any, kwargs: Any) -> Any:
        return kwargs["encoder"], kwargs["hidden"]


def test_the_residual_ends_at_the_familys_tail_and_the_other_stream_passes_through() -> None:
    denoiser = TwoStreamDenoiser().eval()
    hidden, text = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    recipe = [ReuseFromStep1.Options()]
    outputs: list[torch.Tensor] = []
    with (
        sraccel.compose(denoiser, recipe, adapters=[TwoStreamAdapter()]) as stack,
        stack.run(num_inference_steps=2) as run,
    ):
        for index in range(2):
            with run.step(index) as step, step.branch("cond"):
                outputs.append(denoiser(hidden + index, None, text)[0])
    before_tail = denoiser.norm(_through_blocks(denoiser, hidden, text)) - hidden
    expected = denoiser.proj_out(hidden + 1 + before_tail)
    torch.testing.assert_close(outputs[1], expected)
    assert [call.reused for step in stack.report.steps for call in step.calls] == [False, True]
    assert denoiser.encoders == pytest.approx([float(text.mean()) + 3, float(text.mean())])


def _through_blocks(
    denoiser: TwoStreamDenoiser, hidden: torch.Tensor, encoder: torch.Tensor
) -> torch.Tensor:
    for block in denoiser.blocks:
        encoder, hidden = block(encoder=encoder, hidden=hidden)
    return hidden
