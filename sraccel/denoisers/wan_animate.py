"""Wan Animate: a character that moves as in a video (`WanAnimateTransformer3DModel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sraccel.denoisers.wan import WanAdapter

if TYPE_CHECKING:
    from torch import nn


class WanAnimateAdapter(WanAdapter):
    """Wan's blocks; behind some of them a face adapter adds to the stream.

    The adapters are no blocks: they run at a skipped step, too, and what they add then is replaced
    where the residual ends, which holds what they added when the blocks ran.
    """

    family = "wan-animate"
    model_class = "WanAnimateTransformer3DModel"
    shared_config = (*WanAdapter.shared_config, "latent_channels", "motion_encoder_size")

    def tail(self, module: nn.Module) -> nn.Module | None:
        """The last block, as for Wan; `norm_out` if a face adapter comes after the last block."""
        model = cast(Any, module)
        last = len(model.blocks) - 1
        return model.norm_out if last % model.config["inject_face_latents_blocks"] == 0 else None
