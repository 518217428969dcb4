"""Cosmos: one class of models, several generations that cannot stand in for each other."""

from __future__ import annotations

import pytest
from tiny import COSMOS, COSMOS2, COSMOS2_VIDEO_TO_WORLD, COSMOS_VIDEO_TO_WORLD, TinyFamily

import sraccel
from sraccel.plugin import ModelError

GENERATIONS = [
    (COSMOS, COSMOS2),
    (COSMOS2, COSMOS),
    (COSMOS_VIDEO_TO_WORLD, COSMOS2_VIDEO_TO_WORLD),
    (COSMOS2_VIDEO_TO_WORLD, COSMOS_VIDEO_TO_WORLD),
]


@pytest.mark.parametrize(("own", "other"), GENERATIONS, ids=str)
def test_a_model_of_one_generation_cannot_stand_in_for_another(own: TinyFamily, other: TinyFamily):
    switch = {"use": "srdiffusion", "render": other.render()}
    with pytest.raises(ModelError, match=rf"family: '{own.family}'.*'{other.family}'"):
        sraccel.compose(own.pipeline(), [switch])


def test_predict_2_5_is_refused_not_taken_for_predict2():
    model = COSMOS2.render(use_crossattn_projection=True, crossattn_proj_in_channels=16)
    with pytest.raises(ModelError, match="no denoiser adapter knows CosmosTransformer3DModel"):
        sraccel.compose(model, [])
