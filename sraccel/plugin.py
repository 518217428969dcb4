"""Everything that a plugin imports from sraccel. Importing this module does not import torch."""

from sraccel.accelerator import Accelerator, AcceleratorOptions
from sraccel.call import Call
from sraccel.denoiser import Contribution, Denoiser
from sraccel.denoiser_adapter import DenoiserAdapter
from sraccel.errors import (
    ConflictError,
    LoopError,
    ModelError,
    NonFiniteError,
    PluginError,
    SraccelError,
)
from sraccel.hookspecs import hookimpl
from sraccel.metric import Metric
from sraccel.models import load_denoiser, load_vae_config
from sraccel.noise_space import NoiseSpace, noise_space_of
from sraccel.partners import check_same_vae
from sraccel.run import Run
from sraccel.stack import Stack
from sraccel.step import Step, rel_l1_distance

__all__ = [
    "Accelerator",
    "AcceleratorOptions",
    "Call",
    "ConflictError",
    "Contribution",
    "Denoiser",
    "DenoiserAdapter",
    "LoopError",
    "Metric",
    "ModelError",
    "NoiseSpace",
    "NonFiniteError",
    "PluginError",
    "Run",
    "SraccelError",
    "Stack",
    "Step",
    "check_same_vae",
    "hookimpl",
    "load_denoiser",
    "load_vae_config",
    "noise_space_of",
    "rel_l1_distance",
]
