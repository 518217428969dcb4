"""What a pipeline is called with in the place of a prompt, so that no text encoder is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import ModelError

if TYPE_CHECKING:
    import torch

EMBEDS = "prompt_embeds"
TOKENIZER = Path("tokenizer", "tokenizer_config.json")


@dataclass(frozen=True)
class Conditions:
    """The text side of a pipeline class.

    Attributes:
        length: tokens of a prompt, padding included.
        width: key of the denoiser's configuration that holds the size of a token.
        pooled: the same of a pooled embedding, where there is one.
        masked: whether a mask of the tokens goes along.
        negative: whether guidance takes the embeddings of a negative prompt.
        divisor: what height and width must be multiples of, in pixels.
        others: further arguments.
    """

    length: int
    width: str
    pooled: str | None = None
    masked: bool = False
    negative: bool = True
    divisor: int = 16
    others: Mapping[str, Any] = field(default_factory=dict)

    def arguments(
        self, config: Mapping[str, Any], length: int, dtype: torch.dtype, device: torch.device
    ) -> dict[str, Any]:
        """Random embeddings, which are as much work as a prompt's."""
        import torch

        shapes: dict[str, tuple[int, ...]] = {EMBEDS: (1, length, config[self.width])}
        if self.pooled is not None:
            shapes["pooled_prompt_embeds"] = (1, config[self.pooled])
        found: dict[str, Any] = {
            name: torch.randn(shape, dtype=dtype, device=device) for name, shape in shapes.items()
        }
        if self.masked:
            found["prompt_attention_mask"] = torch.ones(1, length, dtype=torch.bool, device=device)
        if self.negative:
            found |= {f"negative_{name}": value.clone() for name, value in found.items()}
        return {**found, **self.others}


CONDITIONS: Mapping[str, Conditions] = {
    "WanPipeline": Conditions(512, "text_dim"),
    "CogVideoXPipeline": Conditions(226, "text_embed_dim"),
    "HunyuanVideoPipeline": Conditions(
        256, "text_embed_dim", pooled="pooled_projection_dim", masked=True, negative=False
    ),
    "LTXPipeline": Conditions(128, "caption_channels", masked=True, divisor=32),
    "FluxPipeline": Conditions(
        512, "joint_attention_dim", pooled="pooled_projection_dim", negative=False
    ),
}
"""By class of the pipeline; lengths are the defaults of these classes' calls in diffusers."""


def conditions_of(pipeline: str) -> Conditions:
    """Those of a pipeline class.

    Raises:
        ModelError: it is not known how to call it.
    """
    if pipeline not in CONDITIONS:
        raise ModelError(
            f"how to call a {pipeline} without its text encoder is not known here "
            f"(known: {', '.join(CONDITIONS)}): `sraccel generate --compare` measures it"
        )
    return CONDITIONS[pipeline]


def prompt_length(folder: str, conditions: Conditions, asked: int | None) -> int:
    """Tokens of a prompt: as asked, else as a folder's tokenizer pads, else as is usual."""
    if asked is not None:
        return asked
    try:
        told = json.loads(Path(folder, TOKENIZER).read_text("utf-8")).get("model_max_length")
    except (OSError, ValueError):
        return conditions.length
    return min(told, conditions.length) if isinstance(told, int) else conditions.length
