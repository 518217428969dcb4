"""The network of LPIPS: AlexNet's features and a weight for each of their channels.

torchmetrics has all of it but the features, which it takes from torchvision. Few environments of
video models have torchvision, and the features are five convolutions, so they are built here; the
files are those of torchvision (`features.0.weight`, ...) and of torchmetrics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn.functional import normalize

SMALLEST = 31
"""The smallest side of a frame, in pixels: smaller ones end before the last convolution."""
ENDS = (2, 5, 8, 10, 12)
"""Behind the five activations, in the sequence of layers."""


def alexnet_features() -> nn.Sequential:
    """AlexNet up to its fifth activation, with torchvision's names of parameters."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def channel_weights() -> list[torch.Tensor]:
    """How much each channel of each activation counts; trained, part of torchmetrics.

    Raises:
        FileNotFoundError: this torchmetrics keeps them elsewhere.
    """
    import torchmetrics.functional.image

    folder = Path(torchmetrics.functional.image.__file__).parent / "lpips_models"
    file = torch.load(folder / "alex.pth", map_location="cpu", weights_only=True)
    return [file[f"lin{layer}.model.1.weight"] for layer in range(len(ENDS))]


class PerceptualDistance(nn.Module):
    """The distance of the paper's equation 1, for a batch of images."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, features: nn.Sequential, weights: list[torch.Tensor]) -> None:
        super().__init__()
        self.features = features.eval().requires_grad_(False)
        self.weights = weights
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    @classmethod
    def load(cls, path: Path) -> Self:
        """With AlexNet's weights from a file of torchvision's.

        Raises:
            ValueError: the file is none, or of another model.
        """
        features = alexnet_features()
        try:
            file: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            named = {name.removeprefix("features."): value for name, value in file.items()}
            wanted = features.state_dict().keys()
            features.load_state_dict({name: named[name] for name in wanted})
        except Exception as error:
            raise ValueError(f"{path} does not hold torchvision's AlexNet: {error}") from error
        return cls(features, channel_weights())

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The distances, of shape (images,), of images in [0, 1] of shape (images, 3, h, w)."""
        total = torch.zeros(len(one))
        pairs = zip(self._unit(one), self._unit(other), self.weights, strict=True)
        for y, y0, w in pairs:
            total += (w[0] * (y - y0) ** 2).sum(dim=1).mean(dim=(1, 2))
        return total

    def _unit(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The activations, each normed over its channels."""
        found, x = [], (2 * images.float().cpu() - 1 - self.shift) / self.scale
        for end, layer in enumerate(self.features, start=1):
            x = layer(x)
            if end in ENDS:
                found.append(normalize(x, dim=1, eps=1e-8))
        return found
