"""What the tests of an accelerator need: a check of its behaviour, tiny models, the demo pair.

In: an accelerator (a class, or an item of a recipe). Out: what was checked, or one error that says
in words everything that it does wrong. Importing this does not import torch.

Others use: none.
"""

from sraccel.testing.check import Checked, check_accelerator
from sraccel.testing.demo import load_demo_pipeline
from sraccel.testing.fault import INVARIANTS, BehaviourError, Fault
from sraccel.testing.target import Target, standard_targets

__all__ = [
    "INVARIANTS",
    "BehaviourError",
    "Checked",
    "Fault",
    "Target",
    "check_accelerator",
    "load_demo_pipeline",
    "standard_targets",
]
