"""What the runs of a study say: how fast, how good, and how the accelerators go together.

In come records of runs (`CellRun`) and the study's cells, out goes an `Analysis` with every figure
and its interval; nothing is read from or written to a disk, and no torch is needed. Others use
`analyse` and `Loss`. `blocks` (arrays) and `resampling` (the bootstrap) are the ground, then come
`outcome`, and `cell_results` and `effects`.
"""

from sraccel.study.analysis.analysis import analyse
from sraccel.study.analysis.blocks import Loss

__all__ = ["Loss", "analyse"]
