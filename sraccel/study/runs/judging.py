"""What becomes of a run's frames: kept on the disk, compared, shown as videos."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sraccel.comparison.quality import Quality, quality_of
from sraccel.files import output_folder, replacing
from sraccel.recipe.catalogue import installed
from sraccel.study.cell import BARE, Block

if TYPE_CHECKING:
    import torch

    from sraccel.study.cell import CellRun
    from sraccel.study.runs.store import Store

VIDEOS = "videos"


class Judge:
    """Looks at a block's videos when all of its cells were run.

    Between two runs that are timed their frames are only put on the disk, so that no cell is run
    after more work than another; an interrupt then loses no comparison either.
    """

    def __init__(
        self, store: Store, kept: KeptFrames, videos: ShownVideos, cells: Sequence[str]
    ) -> None:
        self._store, self._kept, self._videos, self._cells = store, kept, videos, cells
        records = store.records()
        self._judged = {(records[n].cell, records[n].block) for n in store.judged()}

    def keep(self, cell: str, block: Block, frames: torch.Tensor) -> None:
        """Keep the frames of a run that is about to be added to the store, if they are needed.

        Raises:
            OutputError: they cannot be written.
        """
        if self._awaits(cell, block):
            self._kept.save(cell, block, frames)

    def _awaits(self, cell: str, block: Block) -> bool:
        """Whether frames are needed: for their own quality or video, or for the quality of others.

        (In a later round, where they were lost in the first one.)
        """
        wanted = self._cells if cell == BARE else [cell]
        unjudged = any((name, block) not in self._judged for name in wanted)
        return unjudged or self._videos.lacks(cell, block)

    def finish(self, block: Block, records: Mapping[int, CellRun]) -> None:
        """Judge the runs of a block, make the videos that are shown, and keep no frames.

        Args:
            block: of which all cells were run.
            records: of the store, by number; qualities are filled in.

        Raises:
            OutputError: the store or a video cannot be written.
        """
        bare = self._kept.load(BARE, block)
        for number, record in records.items():
            if record.block != block or record.outcome != "finished":
                continue
            frames = self._kept.load(record.cell, block)
            if frames is None:
                continue
            self._videos.save(record.cell, block, frames)
            if bare is not None and (record.cell, block) not in self._judged:
                quality = judge(frames, bare, block.prompt)
                self._store.add_quality(number, quality.values, quality.lacks)
                record.quality = quality.values
                self._judged.add((record.cell, block))
            # What waits for a bare run that failed goes on waiting; the bare one's go last.
            if record.cell != BARE and (record.cell, block) in self._judged:
                self._kept.drop(record.cell, block)
        if bare is not None:
            self._kept.drop(BARE, block)


def judge(frames: torch.Tensor, bare: torch.Tensor, prompt: str) -> Quality:
    """All metrics and scores of a video.

    Args:
        frames: float32 in [0, 1], of shape (frames, channels, height, width).
        bare: the same of the bare run with the same prompt and noise.
        prompt: what it is to show.
    """
    quality = quality_of(frames[None], bare[None])
    for name, score in installed().scores.items():
        try:
            value = score.judge(frames, prompt)
        except Exception as error:  # of any plugin: the run is done
            quality.lacks[name] = f"the score {name!r} raised {type(error).__name__}: {error}"
        else:
            if value is not None:
                quality.take(name, float(value))
    return quality


class KeptFrames:
    """Frames of runs on the disk, a file each, until their block is judged.

    Frames of 8 bits are kept as they are; others in half precision, whose error (at most 2.4e-4 of
    the range) lies 70 dB below the picture. All are compared as they were kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, cell: str, block: Block, frames: torch.Tensor) -> None:
        """Keep the frames of a run; its frames as `judge` takes them.

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
        return self._folder / f"{_digits(cell, block)[:24]}.npy"


class HeldFrames(KeptFrames):
    """The same in memory, for a process that may be killed at any time: it leaves no files."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Block], npt.NDArray[Any]] = {}

    def save(self, cell: str, block: Block, frames: torch.Tensor) -> None:
        """Keep the frames of a run."""
        self._held[cell, block] = _packed(frames)

    def load(self, cell: str, block: Block) -> torch.Tensor | None:
        """The frames of a run, if they are held."""
        held = self._held.get((cell, block))
        return None if held is None else _unpacked(held)

    def drop(self, cell: str, block: Block) -> None:
        """Forget the frames of a run, if they are held."""
        self._held.pop((cell, block), None)


def _packed(frames: torch.Tensor) -> npt.NDArray[Any]:
    numbers = frames.numpy()
    scaled = np.round(numbers * 255)
    exact = bool((scaled / np.float32(255) == numbers).all())
    return scaled.astype(np.uint8) if exact else numbers.astype(np.float16)


def _unpacked(numbers: npt.NDArray[Any]) -> torch.Tensor:
    import torch

    full = numbers.astype(np.float32)
    return torch.from_numpy(full / np.float32(255) if numbers.dtype == np.uint8 else full)


class ShownVideos:
    """Videos of the cells and blocks that a study's report shows.

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
        """Write the video of a run, if it is shown; its frames as `judge` takes them.

        Raises:
            OutputError: it cannot be written.
        """
        from sraccel.video.mp4 import save_video

        if self.lacks(cell, block):
            output_folder(self._folder / VIDEOS)
            path = self._folder / video_path(cell, block)
            save_video(frames.movedim(1, -1), path, fps=self._fps)


def video_path(cell: str, block: Block) -> str:
    """Where the video of a run is, relative to the study's folder."""
    words = re.sub(r"[^a-zA-Z0-9.=]+", "-", cell).strip("-")[:60]
    return f"{VIDEOS}/{words}-{_digits(cell, block)[:8]}.mp4"


def _digits(cell: str, block: Block) -> str:
    """What names the files of a run."""
    key = "\0".join((block.prompt, str(block.seed), cell))
    return hashlib.sha256(key.encode()).hexdigest()
