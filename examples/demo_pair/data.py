"""Training data: rendered clips, their captions, and the caches the denoisers train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sraccel.demo.shapes import Scene, render


@dataclass(frozen=True)
class LatentDataset:
    """Normalised latents and prompt embeddings of the training scenes.

    ``latents`` has shape (n, channels, frames, height, width), ``prompt_embeds`` (n, tokens, dim)
    and ``empty_embeds`` (tokens, dim); all float32.
    """

    latents: torch.Tensor
    prompt_embeds: torch.Tensor
    empty_embeds: torch.Tensor

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.latents)


def clip_batch(batch: Sequence[Scene]) -> torch.Tensor:
    """Render scenes to pixels in [-1, 1], shape (batch, 3, frames, height, width)."""
    clips = np.stack([render(scene) for scene in batch])
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous() * 2 - 1


def batches(items: Sequence[Scene], size: int) -> Iterator[Sequence[Scene]]:
    """Split a sequence into consecutive batches of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
