"""The quality of a study's runs: each beside the bare run of its block, and by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.catalogue import installed
from sraccel.quality import Quality, quality_of
from sraccel.study.cell import BARE
from sraccel.study.runs.kept_frames import KeptFrames, rounded

if TYPE_CHECKING:
    import torch

    from sraccel.study.record import Block, RunRecord
    from sraccel.study.runs.store import Store


class Judge:
    """Compares runs with the bare one of their block, as soon as both are there.

    What comes before the bare run waits on the disk, so that an interrupt loses no comparison.
    """

    def __init__(self, store: Store, folder: Path, cells: Sequence[str]) -> None:
        self._store, self._cells = store, cells
        self._kept = KeptFrames(folder / "frames")
        records = store.records()
        self._judged = {(records[n].cell, records[n].block) for n in store.judged()}

    def awaits(self, cell: str, block: Block) -> bool:
        """Whether the frames of a run are needed: for its own quality, or for that of others."""
        if cell == BARE:
            return any((other, block) not in self._judged for other in self._cells)
        return (cell, block) not in self._judged

    def quality(self, cell: str, block: Block, frames: torch.Tensor) -> Quality | None:
        """The quality of a run that is about to be added to the store; None: it has to wait.

        Raises:
            OutputError: frames cannot be kept.
        """
        frames = rounded(frames)
        bare = frames if cell == BARE else self._kept.load(BARE, block)
        if cell == BARE or bare is None:
            self._kept.save(cell, block, frames)
        return None if bare is None else judge(frames, bare, block.prompt)

    def take(self, cell: str, block: Block) -> None:
        """Note that a run was added to the store with its quality."""
        self._judged.add((cell, block))

    def catch_up(self, block: Block, records: Mapping[int, RunRecord]) -> None:
        """Compare what waited with the bare run, if that is there now.

        Args:
            block: whose runs they are.
            records: of the store, by number; qualities are filled in.

        Raises:
            OutputError: the store cannot be written.
        """
        bare = self._kept.load(BARE, block)
        if bare is None:
            return
        for number, record in records.items():
            if record.block != block or (record.cell, block) in self._judged:
                continue
            frames = self._kept.load(record.cell, block)
            if record.outcome != "finished" or frames is None:
                continue
            quality = judge(frames, bare, block.prompt)
            self._store.add_quality(number, quality.values, quality.lacks)
            record.quality = quality.values
            self.take(record.cell, block)

    def finish(self, block: Block, records: Mapping[int, RunRecord]) -> None:
        """All cells of a block were run: compare what still waits, and keep no frames of it."""
        self.catch_up(block, records)
        for cell in self._cells:
            self._kept.drop(cell, block)


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
        except Exception as error:  # whosesoever it is: the run is done
            quality.lacks[name] = f"the score {name!r} raised {type(error).__name__}: {error}"
        else:
            if value is not None:
                quality.take(name, float(value))
    return quality
