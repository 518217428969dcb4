"""What the runs of a study say: how fast, how good, and how the accelerators go together.

In: records of runs (`CellRun`) and the study's cells. Out: an `Analysis` with every figure and its
interval; nothing is read from or written to a disk, and no torch is needed. From bottom to top:
`blocks` (arrays) and `resampling` (the bootstrap), `outcome`, then `cell_results` and `effects`.

Others use: `analyse`, `Loss`, and `resampling`.
"""

from sraccel.study.analysis.analysis import analyse
from sraccel.study.analysis.blocks import Loss

__all__ = ["Loss", "analyse"]
