"""The videos of the blocks that a study's report shows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.files import output_folder
from sraccel.study.cell import Block

if TYPE_CHECKING:
    import torch

FOLDER = "videos"


class Videos:
    """Writes them.

    Args:
        folder: of the study.
        cells: names of those that are shown.
        blocks: that are shown.
        fps: frames per second.
    """

    def __init__(
        self, folder: Path, cells: Sequence[str], blocks: Sequence[Block], fps: float
    ) -> None:
        self._folder, self._cells, self._blocks, self._fps = folder, cells, blocks, fps

    def lacks(self, cell: str, block: Block) -> bool:
        """Whether the video of a run is shown, and is not there."""
        shown = cell in self._cells and block in self._blocks
        return shown and not (self._folder / video_path(cell, block)).is_file()

    def save(self, cell: str, block: Block, frames: torch.Tensor) -> None:
        """Write the video of a run, if it is shown.

        Args:
            cell: its name.
            block: prompt and seed.
            frames: float32 in [0, 1], of shape (frames, channels, height, width).

        Raises:
            OutputError: it cannot be written.
        """
        from sraccel.video.mp4 import save_video

        if self.lacks(cell, block):
            output_folder(self._folder / FOLDER)
            path = self._folder / video_path(cell, block)
            save_video(frames.movedim(1, -1), path, fps=self._fps)


def video_path(cell: str, block: Block) -> str:
    """Where the video of a run is, relative to the study's folder."""
    key = "\0".join((block.prompt, str(block.seed), cell))
    words = re.sub(r"[^a-zA-Z0-9.=]+", "-", cell).strip("-")[:60]
    return f"{FOLDER}/{words}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.mp4"
