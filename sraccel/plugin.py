"""Everything that a plugin imports from sraccel. Importing this module does not import torch."""

from sraccel.calibration.budgets import BudgetFile, budgets_for
from sraccel.calibration.calibration import Calibration, FitFile, RunRecorder
from sraccel.calibration.trajectory import Trajectory
from sraccel.composer import compose
from sraccel.errors import (
    ConflictError,
    LoopError,
    ModelError,
    NonFiniteError,
    OutputError,
    PluginError,
    RanksError,
    SraccelError,
)
from sraccel.files import output_folder, read_text, replacing
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions, RuleOptions
from sraccel.loop.call import Call, Level
from sraccel.loop.claims import Claim
from sraccel.loop.clean_latents import clean_latents, first_position
from sraccel.loop.column import Column
from sraccel.loop.denoiser import Contribution, Denoiser, denoisers_in, recognise
from sraccel.loop.denoiser_adapter import ENCODER, HIDDEN, DenoiserAdapter, argument
from sraccel.loop.finding import Finding
from sraccel.loop.forecast import Forecast, Skips, evenly
from sraccel.loop.history import Computed, History
from sraccel.loop.hookspecs import hookimpl
from sraccel.loop.intercept import Interception
from sraccel.loop.measure import mean, rel_l1_distance
from sraccel.loop.obstacle import Obstacle, no_cuda
from sraccel.loop.placement import Placement
from sraccel.loop.ranks import Ranks
from sraccel.loop.run import Run
from sraccel.loop.scope import Scope
from sraccel.loop.stack import Stack
from sraccel.loop.step import Step
from sraccel.loop.step_plan import StepPlan
from sraccel.loop.tunable import Tunable, Ways
from sraccel.models.arguments import check_arguments, defaults_of
from sraccel.models.checksum import weights_checksum
from sraccel.models.memory import check_room, weight_bytes
from sraccel.models.partners import check_partners
from sraccel.models.source import ModelSource, config_of, name_or
from sraccel.models.step_callback import Progress, StepReport, with_progress
from sraccel.noise.flow_shift import flow_shift, same_shift
from sraccel.noise.space import (
    FlowSchedule,
    NoiseSpace,
    noise_space_of,
    scheduled_levels,
    scheduled_sigma,
)
from sraccel.recipe.sampling import Sampling
from sraccel.text import did_you_mean, plain_complaint, shortened
from sraccel.video.metric import Metric
from sraccel.video.mp4 import save_video
from sraccel.video.score import Score

__all__ = [
    "ENCODER",
    "HIDDEN",
    "Accelerator",
    "AcceleratorOptions",
    "BudgetFile",
    "Calibration",
    "Call",
    "Claim",
    "Column",
    "Computed",
    "ConflictError",
    "Contribution",
    "Denoiser",
    "DenoiserAdapter",
    "Finding",
    "FitFile",
    "FlowSchedule",
    "Forecast",
    "History",
    "Interception",
    "Level",
    "LoopError",
    "Metric",
    "ModelError",
    "ModelSource",
    "NoiseSpace",
    "NonFiniteError",
    "Obstacle",
    "OutputError",
    "Placement",
    "PluginError",
    "Progress",
    "Ranks",
    "RanksError",
    "RuleOptions",
    "Run",
    "RunRecorder",
    "Sampling",
    "Scope",
    "Score",
    "Skips",
    "SraccelError",
    "Stack",
    "Step",
    "StepPlan",
    "StepReport",
    "Trajectory",
    "Tunable",
    "Ways",
    "argument",
    "budgets_for",
    "check_arguments",
    "check_partners",
    "check_room",
    "clean_latents",
    "compose",
    "config_of",
    "defaults_of",
    "denoisers_in",
    "did_you_mean",
    "evenly",
    "first_position",
    "flow_shift",
    "hookimpl",
    "mean",
    "name_or",
    "no_cuda",
    "noise_space_of",
    "output_folder",
    "plain_complaint",
    "read_text",
    "recognise",
    "rel_l1_distance",
    "replacing",
    "same_shift",
    "save_video",
    "scheduled_levels",
    "scheduled_sigma",
    "shortened",
    "weight_bytes",
    "weights_checksum",
    "with_progress",
]
