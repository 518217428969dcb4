"""How many tokens a model sees of a video, by its configuration and the VAE's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sraccel.loop.denoiser import Denoiser
    from sraccel.recipe.sampling import Sampling

SPATIAL, TEMPORAL = "scale_factor_spatial", "scale_factor_temporal"


def tokens_of(denoiser: Denoiser, pipeline: Any, sampling: Sampling) -> int | None:
    """Tokens of one video in a Wan model; None: not known (another family, or no size given)."""
    size = (sampling.num_frames, sampling.height, sampling.width)
    vae = getattr(getattr(pipeline, "vae", None), "config", {})
    known = all(key in vae for key in (SPATIAL, TEMPORAL)) and "patch_size" in denoiser.config
    if denoiser.family != "wan" or None in size or not known:
        return None
    frames, height, width = (int(number or 0) for number in size)
    scales = (vae[TEMPORAL], vae[SPATIAL], vae[SPATIAL])
    latent = ((frames - 1) // scales[0] + 1, height // scales[1], width // scales[2])
    sides = zip(latent, denoiser.config["patch_size"], strict=True)
    return int(math.prod(length // patch for length, patch in sides))


def width_of(denoiser: Denoiser) -> int:
    """Channels of a Wan model's hidden states."""
    config = denoiser.config
    return int(config["num_attention_heads"] * config["attention_head_dim"])
