"""Everything that a plugin imports from sraccel. Importing this module does not import torch."""

from sraccel.accelerator import Accelerator, AcceleratorOptions
from sraccel.call import Call
from sraccel.check.finding import Finding
from sraccel.check.forecast import Forecast
from sraccel.checksum import weights_checksum
from sraccel.composer import compose_accelerators
from sraccel.denoiser import Contribution, Denoiser, recognise
from sraccel.denoiser_adapter import ENCODER, HIDDEN, DenoiserAdapter, argument
from sraccel.errors import (
    ConflictError,
    LoopError,
    ModelError,
    NonFiniteError,
    OutputError,
    PluginError,
    SraccelError,
)
from sraccel.files import output_folder, replacing
from sraccel.free_memory import check_room, weight_bytes
from sraccel.hookspecs import hookimpl
from sraccel.metric import Metric
from sraccel.model_source import ModelSource, config_of, name_or
from sraccel.near import did_you_mean
from sraccel.noise_space import (
    FlowSchedule,
    NoiseSpace,
    noise_space_of,
    scheduled_levels,
    scheduled_sigma,
)
from sraccel.partners import check_partners
from sraccel.placement import Placement
from sraccel.run import Run
from sraccel.sampling import Sampling
from sraccel.score import Score
from sraccel.stack import Stack
from sraccel.step import Step, rel_l1_distance

__all__ = [
    "ENCODER",
    "HIDDEN",
    "Accelerator",
    "AcceleratorOptions",
    "Call",
    "ConflictError",
    "Contribution",
    "Denoiser",
    "DenoiserAdapter",
    "Finding",
    "FlowSchedule",
    "Forecast",
    "LoopError",
    "Metric",
    "ModelError",
    "ModelSource",
    "NoiseSpace",
    "NonFiniteError",
    "OutputError",
    "Placement",
    "PluginError",
    "Run",
    "Sampling",
    "Score",
    "SraccelError",
    "Stack",
    "Step",
    "argument",
    "check_partners",
    "check_room",
    "compose_accelerators",
    "config_of",
    "did_you_mean",
    "hookimpl",
    "name_or",
    "noise_space_of",
    "output_folder",
    "recognise",
    "rel_l1_distance",
    "replacing",
    "scheduled_levels",
    "scheduled_sigma",
    "weight_bytes",
    "weights_checksum",
]
