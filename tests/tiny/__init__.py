"""Tiny random pipelines of every family: the real pipeline, model, VAE and scheduler classes.

They have no text encoders: they are called with prompt embeddings.
"""

from tiny.cogvideox import COGVIDEOX_DDIM, COGVIDEOX_DPM, COGVIDEOX_IMAGE_TO_VIDEO
from tiny.family import HALF, STEPS, TinyFamily
from tiny.ltx import LTX, LTX_IMAGE_TO_VIDEO
from tiny.sd3 import SD3
from tiny.sdxl import SDXL
from tiny.wan import WAN, WAN_2_2, WAN_IMAGE_TO_VIDEO

PAIRS_OF_TRANSFORMERS = [
    WAN,
    WAN_IMAGE_TO_VIDEO,
    WAN_2_2,
    COGVIDEOX_DDIM,
    COGVIDEOX_DPM,
    COGVIDEOX_IMAGE_TO_VIDEO,
    SD3,
    LTX,
    LTX_IMAGE_TO_VIDEO,
]
PAIRS = [*PAIRS_OF_TRANSFORMERS, SDXL]
"""Families whose models can take turns."""

BLOCK_STACKS = [*PAIRS_OF_TRANSFORMERS]
"""Families whose blocks can be skipped."""

__all__ = [
    "BLOCK_STACKS",
    "COGVIDEOX_DDIM",
    "COGVIDEOX_DPM",
    "COGVIDEOX_IMAGE_TO_VIDEO",
    "HALF",
    "LTX",
    "LTX_IMAGE_TO_VIDEO",
    "PAIRS",
    "PAIRS_OF_TRANSFORMERS",
    "SD3",
    "SDXL",
    "STEPS",
    "WAN",
    "WAN_2_2",
    "WAN_IMAGE_TO_VIDEO",
    "TinyFamily",
]
