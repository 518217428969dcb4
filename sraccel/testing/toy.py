"""A toy denoiser of a few lines, with blocks, text and time: for loops that step it themselves."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from sraccel.plugin import HIDDEN, Call, DenoiserAdapter, argument

WIDTH = 8


class ToyBlock(nn.Module):
    """A residual block that sees text and time."""

    def __init__(self) -> None:
        super().__init__()
        self.to_hidden = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_residual = nn.Linear(2 * WIDTH, WIDTH)

    def forward(
        self, hidden_states: torch.Tensor, text: torch.Tensor, temb: torch.Tensor
    ) -> torch.Tensor:
        """Tensors are (batch, tokens, width); text and time are (batch, 1, width)."""
        inner = self.to_hidden(hidden_states + text + temb)
        residual: torch.Tensor = self.to_residual(nn.functional.silu(inner))
        return hidden_states + residual


class ToyDenoiser(nn.Module):
    """Predicts from noisy latents, a timestep and a text; each block adds to the stream."""

    def __init__(self, layers: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Linear(4, WIDTH)
        self.time_embedding = nn.Linear(1, WIDTH)
        self.blocks = nn.ModuleList(ToyBlock() for _ in range(layers))
        self.head = nn.Linear(WIDTH, 4)

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        """Latents are (batch, tokens, 4), the text (batch, 1, width)."""
        temb = self.time_embedding(timestep.to(hidden_states).reshape(-1, 1, 1) / 1000)
        hidden = self.embedding(hidden_states)
        for block in self.blocks:
            hidden = block(hidden, encoder_hidden_states, temb)
        return (self.head(hidden),)


class ToyAdapter(DenoiserAdapter):
    """The toy's block stack; rules decide by its time embedding."""

    family = "toy"
    model_class = "ToyDenoiser"
    block_lists: ClassVar[tuple[str, ...]] = ("blocks",)
    streams: ClassVar[tuple[str, ...]] = (HIDDEN,)
    modulated_inputs = ("time_embedding",)

    def modulated_input(self, call: Call, name: str) -> torch.Tensor:
        temb: torch.Tensor = argument(*call.block_arguments, 2, "temb")
        return temb


def toy_denoiser(seed: int = 0, layers: int = 3) -> Any:
    """A random toy that always has the same weights."""
    torch.manual_seed(seed)
    return ToyDenoiser(layers).eval().requires_grad_(False)


def toy_inputs(noise: torch.Tensor, timestep: float, text: int) -> dict[str, torch.Tensor]:
    """Arguments of a call of the toy."""
    generator = torch.Generator().manual_seed(text)
    return {
        "hidden_states": noise.reshape(1, -1, 4),
        "timestep": torch.tensor([timestep]),
        "encoder_hidden_states": torch.randn(1, 1, WIDTH, generator=generator),
    }
