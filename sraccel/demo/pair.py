"""The demo pair: where its weights are, and the arguments it is trained for.

Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from sraccel.errors import ModelError

DEMO = "demo"
"""The pair's name, wherever a model can be named."""
DEMO_WEIGHTS = Path(__file__).parent / "weights"
"""A `WanPipeline` in diffusers' folder format, and beside its parts the folder `render`."""
DEMO_GUIDANCE_SCALE = 5.0
"""Wan's own."""
DEMO_FPS = 8


@functools.cache
def demo_call() -> dict[str, Any]:
    """The call's arguments that the demo pair is trained for: size, frames, prompt length.

    Raises:
        ModelError: the weights are missing from this installation.
    """
    from sraccel.demo import shapes  # imports NumPy

    tokenizer = demo_weights() / "tokenizer" / "tokenizer_config.json"
    return {
        "height": shapes.SIZE,
        "width": shapes.SIZE,
        "num_frames": shapes.NUM_FRAMES - 1,  # the pipeline makes one more than it is asked for
        "guidance_scale": DEMO_GUIDANCE_SCALE,
        "max_sequence_length": json.loads(tokenizer.read_text("utf-8"))["model_max_length"],
    }


def demo_weights() -> Path:
    """The folder of the pair's weights.

    Raises:
        ModelError: they are missing from this installation.
    """
    if not (DEMO_WEIGHTS / "model_index.json").is_file():
        raise ModelError(
            "this installation lacks the demo pair's weights (sraccel/demo/weights): install "
            "sraccel from its wheel, or train them with examples/demo_pair"
        )
    return DEMO_WEIGHTS
