"""ChronoEdit: an edit of an image as a short video (`ChronoEditTransformer3DModel`)."""

from __future__ import annotations

from sraccel.denoisers.wan import WanAdapter


class ChronoEditAdapter(WanAdapter):
    """Wan's blocks and time embedding; where it drops the frames between, a cache begins anew."""

    family = "chrono-edit"
    model_class = "ChronoEditTransformer3DModel"
