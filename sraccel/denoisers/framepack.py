"""FramePack and FramePack F1, image to video (`HunyuanVideoFramepackTransformer3DModel`)."""

from __future__ import annotations

from sraccel.denoisers.hunyuan_video import HunyuanVideoAdapter


class FramePackAdapter(HunyuanVideoAdapter):
    """HunyuanVideo's blocks; the tokens of the frames so far go along before the noisy ones.

    The video is made in sections, each in a loop of its own, in which a cache begins anew. As in
    the TeaCache of FramePack's authors, all tokens are decided by, and are part of the residual.
    """

    family = "framepack"
    model_class = "HunyuanVideoFramepackTransformer3DModel"
    shared_config = (*HunyuanVideoAdapter.shared_config, "has_image_proj", "image_proj_dim")
