"""Small videos, for tests: a square that moves to the right."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from sraccel.video.mp4 import save_video


@functools.cache
def video(number: int, place: int) -> bytes:
    """An MP4 of 16 frames at 8 per second; `number` gives the colour, `place` the row."""
    frames = np.zeros((16, 64, 96, 3), np.uint8)
    row = 6 * place
    for index, frame in enumerate(frames):
        colour = [(200, 120, 40), (60, 140, 220)][number % 2]
        frame[row : row + 20, 3 * index : 3 * index + 20] = colour
    with tempfile.TemporaryDirectory() as folder:
        return Path(save_video(frames, f"{folder}/video.mp4", fps=8, min_side=96)).read_bytes()
