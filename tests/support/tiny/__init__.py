"""Tiny random pipelines of every family: the real pipeline, model, VAE and scheduler classes.

They have no text encoders: they are called with prompt embeddings.
"""

from tiny.adapted import (
    ALLEGRO,
    CHROMA,
    FLUX2,
    FLUX2_KLEIN,
    HUNYUAN_VIDEO_15,
    SKYREELS_V2,
    SKYREELS_V2_FORCING,
    SKYREELS_V2_IMAGE_TO_VIDEO,
    WAN_ANIMATE,
    Z_IMAGE,
)
from tiny.cogvideox import (
    COGVIDEOX_2B,
    COGVIDEOX_DDIM,
    COGVIDEOX_DPM,
    COGVIDEOX_IMAGE_TO_VIDEO,
    COGVIDEOX_VIDEO_TO_VIDEO,
)
from tiny.cosmos import COSMOS, COSMOS2, COSMOS2_VIDEO_TO_WORLD, COSMOS_VIDEO_TO_WORLD
from tiny.family import HALF, STEPS, TinyFamily
from tiny.flux import FLUX, FLUX_CONTROLNET, FLUX_KONTEXT, FLUX_TRUE_GUIDANCE
from tiny.hidream import HIDREAM, HIDREAM_WIDE
from tiny.hunyuan_video import (
    HUNYUAN_VIDEO,
    HUNYUAN_VIDEO_LATENT_CONCAT,
    HUNYUAN_VIDEO_TOKEN_REPLACE,
    HUNYUAN_VIDEO_TRUE_GUIDANCE,
)
from tiny.ltx import LTX, LTX_IMAGE_TO_VIDEO
from tiny.lumina2 import LUMINA2
from tiny.mochi import MOCHI
from tiny.qwen_image import QWEN_IMAGE, QWEN_IMAGE_CONTROLNET
from tiny.sd3 import SD3
from tiny.sdxl import SDXL
from tiny.wan import (
    WAN,
    WAN_2_2,
    WAN_5B,
    WAN_5B_IMAGE_TO_VIDEO,
    WAN_IMAGE_TO_VIDEO,
    WAN_VACE,
    WAN_VACE_HINT_AT_THE_END,
    WAN_VIDEO_TO_VIDEO,
)

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

BLOCK_STACKS = [
    *PAIRS_OF_TRANSFORMERS,
    WAN_5B,
    WAN_5B_IMAGE_TO_VIDEO,
    WAN_VIDEO_TO_VIDEO,
    WAN_VACE,
    WAN_VACE_HINT_AT_THE_END,
    COGVIDEOX_2B,
    COGVIDEOX_VIDEO_TO_VIDEO,
    HUNYUAN_VIDEO,
    HUNYUAN_VIDEO_TRUE_GUIDANCE,
    HUNYUAN_VIDEO_LATENT_CONCAT,
    HUNYUAN_VIDEO_TOKEN_REPLACE,
    FLUX,
    FLUX_TRUE_GUIDANCE,
    FLUX_CONTROLNET,
    FLUX_KONTEXT,
    MOCHI,
    LUMINA2,
    COSMOS,
    COSMOS_VIDEO_TO_WORLD,
    COSMOS2,
    COSMOS2_VIDEO_TO_WORLD,
    HIDREAM,
    HIDREAM_WIDE,
    QWEN_IMAGE,
    QWEN_IMAGE_CONTROLNET,
    SKYREELS_V2,
    SKYREELS_V2_IMAGE_TO_VIDEO,
    SKYREELS_V2_FORCING,
    WAN_ANIMATE,
    HUNYUAN_VIDEO_15,
    CHROMA,
    ALLEGRO,
    FLUX2,
    FLUX2_KLEIN,
    Z_IMAGE,
]
"""Families whose blocks can be skipped."""

__all__ = [
    "ALLEGRO",
    "BLOCK_STACKS",
    "CHROMA",
    "COGVIDEOX_2B",
    "COGVIDEOX_DDIM",
    "COGVIDEOX_DPM",
    "COGVIDEOX_IMAGE_TO_VIDEO",
    "COGVIDEOX_VIDEO_TO_VIDEO",
    "COSMOS",
    "COSMOS2",
    "COSMOS2_VIDEO_TO_WORLD",
    "COSMOS_VIDEO_TO_WORLD",
    "FLUX",
    "FLUX2",
    "FLUX2_KLEIN",
    "FLUX_CONTROLNET",
    "FLUX_KONTEXT",
    "FLUX_TRUE_GUIDANCE",
    "HALF",
    "HIDREAM",
    "HIDREAM_WIDE",
    "HUNYUAN_VIDEO",
    "HUNYUAN_VIDEO_15",
    "HUNYUAN_VIDEO_LATENT_CONCAT",
    "HUNYUAN_VIDEO_TOKEN_REPLACE",
    "HUNYUAN_VIDEO_TRUE_GUIDANCE",
    "LTX",
    "LTX_IMAGE_TO_VIDEO",
    "LUMINA2",
    "MOCHI",
    "PAIRS",
    "PAIRS_OF_TRANSFORMERS",
    "QWEN_IMAGE",
    "QWEN_IMAGE_CONTROLNET",
    "SD3",
    "SDXL",
    "SKYREELS_V2",
    "SKYREELS_V2_FORCING",
    "SKYREELS_V2_IMAGE_TO_VIDEO",
    "STEPS",
    "WAN",
    "WAN_2_2",
    "WAN_5B",
    "WAN_5B_IMAGE_TO_VIDEO",
    "WAN_ANIMATE",
    "WAN_IMAGE_TO_VIDEO",
    "WAN_VACE",
    "WAN_VACE_HINT_AT_THE_END",
    "WAN_VIDEO_TO_VIDEO",
    "Z_IMAGE",
    "TinyFamily",
]
