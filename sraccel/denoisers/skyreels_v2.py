"""SkyReels V2: text or image to video, and diffusion forcing (`SkyReelsV2Transformer3DModel`)."""

from __future__ import annotations

from sraccel.denoisers.wan import WanAdapter


class SkyReelsV2Adapter(WanAdapter):
    """Wan's blocks and time embedding; with diffusion forcing, each frame has a timestep."""

    family = "skyreels-v2"
    model_class = "SkyReelsV2Transformer3DModel"
    timesteps_known = False  # frames of diffusion forcing lag behind the scheduler's
    shared_config = (*WanAdapter.shared_config, "inject_sample_info", "num_frame_per_block")
