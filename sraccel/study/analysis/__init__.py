"""What the runs of a study say: how fast, how good, and how the accelerators go together."""

from sraccel.study.analysis.blocks import Loss
from sraccel.study.analysis.figures import analyse

__all__ = ["Loss", "analyse"]
