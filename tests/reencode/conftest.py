"""Two pipelines whose VAEs differ."""

from __future__ import annotations

import pytest
from tiny_models import wan_vae
from two_pipelines import Pipes, pipeline


@pytest.fixture
def pipes() -> Pipes:
    """One that sketches, with 8x compression, and one that renders, with 16x."""
    return (
        pipeline(wan_vae(0, 4, spatial=8), seed=0),
        pipeline(wan_vae(1, 6, spatial=16), seed=7, layers=1),
    )
