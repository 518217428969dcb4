"""Frames of runs on the disk, until their block is judged."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sraccel.files import output_folder, replacing

if TYPE_CHECKING:
    import torch

    from sraccel.study.cell import Block


class KeptFrames:
    """Frames of runs, a file each.

    Frames of 8 bits are kept as they are; others in half precision, whose error (at most 2.4e-4 of
    the range) lies 70 dB below the picture. All are compared as they were kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, cell: str, block: Block, frames: torch.Tensor) -> None:
        """Keep the frames of a run.

        Args:
            cell: its name.
            block: prompt and seed.
            frames: float32 in [0, 1], of shape (frames, channels, height, width).

        Raises:
            OutputError: they cannot be written.
        """
        output_folder(self._folder)
        with replacing(self._path(cell, block)) as temporary, temporary.open("wb") as file:
            np.save(file, _packed(frames))

    def load(self, cell: str, block: Block) -> torch.Tensor | None:
        """The frames of a run; None: they are gone, or damaged (the power failed, say)."""
        try:
            return _unpacked(np.load(self._path(cell, block)))
        except (OSError, ValueError, EOFError):
            return None

    def drop(self, cell: str, block: Block) -> None:
        """Remove the frames of a run, if they are there."""
        self._path(cell, block).unlink(missing_ok=True)

    def _path(self, cell: str, block: Block) -> Path:
        key = "\0".join((block.prompt, str(block.seed), cell))
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"


def _packed(frames: torch.Tensor) -> npt.NDArray[Any]:
    numbers = frames.numpy()
    scaled = np.round(numbers * 255)
    exact = bool((scaled / np.float32(255) == numbers).all())
    return scaled.astype(np.uint8) if exact else numbers.astype(np.float16)


def _unpacked(numbers: npt.NDArray[Any]) -> torch.Tensor:
    import torch

    full = numbers.astype(np.float32)
    return torch.from_numpy(full / np.float32(255) if numbers.dtype == np.uint8 else full)
