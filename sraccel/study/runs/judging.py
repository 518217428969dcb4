"""The quality of a study's runs: each beside the bare run of its block, and by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sraccel.comparison.quality import Quality, quality_of
from sraccel.recipe.catalogue import installed
from sraccel.study.cell import BARE

if TYPE_CHECKING:
    import torch

    from sraccel.study.cell import Block, CellRun
    from sraccel.study.runs.kept_frames import KeptFrames
    from sraccel.study.runs.store import Store
    from sraccel.study.videos import Videos


class Judge:
    """Looks at a block's videos when all of its cells were run.

    Between two runs that are timed their frames are only put on the disk, so that no cell is run
    after more work than another; an interrupt then loses no comparison either.
    """

    def __init__(
        self, store: Store, kept: KeptFrames, videos: Videos, cells: Sequence[str]
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
        except Exception as error:  # whosesoever it is: the run is done
            quality.lacks[name] = f"the score {name!r} raised {type(error).__name__}: {error}"
        else:
            if value is not None:
                quality.take(name, float(value))
    return quality
