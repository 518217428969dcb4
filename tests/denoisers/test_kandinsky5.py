"""Kandinsky 5: what a pipeline computes for sparse attention is for its own model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from residual_rules import OfficialArithmetic, ReuseFromStep1
from tiny import KANDINSKY5
from two_models import Counted, switching

import sraccel
from sraccel.denoisers.kandinsky5 import Kandinsky5Adapter
from sraccel.plugin import ModelError

FEW = 4


def test_a_kandinsky_model_gets_of_sparse_attention_what_is_its_own():
    sparse = {"attention_type": "nabla", "attention_P": 0.7}
    dense_model, sparse_model = KANDINSKY5.render(), KANDINSKY5.render(**sparse)
    adapter = Kandinsky5Adapter()
    given = {"sparse_params": {"P": 0.9, "to_fractal": True}}
    assert adapter.sibling_arguments(dense_model, given) == {"sparse_params": None}
    taken = adapter.sibling_arguments(sparse_model, given)
    assert taken == {"sparse_params": {"P": 0.7, "to_fractal": True}}
    assert adapter.sibling_arguments(sparse_model, {"sparse_params": None})
    with pytest.raises(ModelError, match="sparse attention"):
        sraccel.compose(KANDINSKY5.pipeline(), switching(sparse_model))
    adapter.check_sibling(sparse_model, dense_model)


@pytest.mark.slow
@attention_backend()  # to set a model's sets the process's, which this restores
def test_kandinskys_sparse_attention_is_skipped_and_does_not_reach_a_model_without_it():
    def sparse_pipeline() -> Any:
        pipe = tiny.pipeline(
            attention_type="nabla",
            attention_P=0.7,
            attention_wT=3,
            attention_wW=3,
            attention_wH=3,
            attention_add_sta=True,
        )
        pipe.transformer.set_attention_backend("flex")
        return pipe

    tiny = replace(KANDINSKY5, size={**KANDINSKY5.size, "height": 128, "width": 128})
    reference = sparse_pipeline()
    OfficialArithmetic(reference.transformer, tiny, tiny.calls_per_step)
    expected, pipe = tiny.generate(reference, FEW), sparse_pipeline()
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]):
        assert torch.equal(tiny.generate(pipe, FEW), expected)
    seen = Counted(render := tiny.render())
    with sraccel.compose(pipe, switching(render, 2)):
        assert tiny.generate(pipe, FEW).isfinite().all()
    assert [call["sparse_params"] for call in seen.calls] == [None] * 2 * tiny.calls_per_step
