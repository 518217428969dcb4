"""FLUX.2 with given images: their tokens go along in each step, or in the first one alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinKVPipeline
from residual_rules import OfficialArithmetic, ReuseFromStep1, SeesModulatedInput, blocks_of
from tiny import FLUX2, FLUX2_KLEIN, TinyFamily
from tiny.unadapted.made import PHOTO
from tiny_models import assembled
from torch import nn
from two_models import switching

import sraccel
from sraccel.plugin import ModelError

STEPS = 4
WITH_IMAGE = replace(FLUX2_KLEIN, size={**FLUX2_KLEIN.size, "image": PHOTO})


def keeping_keys(**config: Any) -> Any:
    """A pipeline that computes the keys and values of a given image in the first step alone."""
    pipe = FLUX2_KLEIN.pipeline(guidance_embeds=False, **config)
    return assembled(Flux2KleinKVPipeline, **pipe.components)


KEEPING_KEYS = replace(
    WITH_IMAGE, pipeline=keeping_keys, calls_per_step=1, guidance=None, negatives=False
)


class ArithmeticByShape(OfficialArithmetic):
    """Tells calls apart by the noisy tokens' number; those of the given image come before them."""

    given = 0

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        super()._begin(block, args, kwargs)
        attention = kwargs["joint_attention_kwargs"] or {}
        self.given = attention["num_ref_tokens"] if attention["kv_cache"].k_ref is None else 0
        self.branch = self.start.shape[1]
        self.start = self.start[:, self.given :]


@pytest.mark.parametrize(
    ("tiny", "reference", "computed"),
    [(WITH_IMAGE, partial(OfficialArithmetic, branches=2), 1), (KEEPING_KEYS, None, 2)],
    ids=["image in each step", "image in the first step"],
)
def test_the_tokens_of_a_given_image_are_no_part_of_the_residual_where_the_output_has_none(
    tiny: TinyFamily, reference: Any, computed: int
):
    """After the step that extracts keys and values, blocks run once more: other tokens go in."""
    expected = tiny.pipeline()
    (reference or partial(ArithmeticByShape, branches=1))(expected.transformer, tiny)
    pipe = tiny.pipeline()
    bare = tiny.generate(pipe, STEPS)
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        reused = tiny.generate(pipe, STEPS)
        assert torch.equal(reused, tiny.generate(expected, STEPS))
        assert torch.equal(tiny.generate(pipe, STEPS), reused)
    assert not torch.equal(reused, bare)
    skipped = [all(call.reused for call in step.calls) for step in stack.report.steps]
    assert skipped == [False] * computed + [True] * (STEPS - computed)


def test_what_is_decided_by_is_the_first_blocks_where_it_has_two_modulations():
    """The given image's tokens are modulated as at timestep 0 while keys are extracted."""
    tiny, expected = KEEPING_KEYS, []
    pipe = tiny.pipeline()
    blocks_of(tiny).modulated(pipe.transformer, expected)
    with sraccel.compose(pipe, [SeesModulatedInput.Options()]) as stack:
        tiny.generate(pipe, STEPS)
        (accelerator,) = stack.accelerators
    assert isinstance(accelerator, SeesModulatedInput)
    torch.testing.assert_close(accelerator.seen, expected, rtol=0, atol=0)
    assert len({one.shape for one in expected}) == 2


def test_keys_of_one_model_are_refused_for_another():
    pipe = KEEPING_KEYS.pipeline()
    with sraccel.compose(pipe, switching(KEEPING_KEYS.render(guidance_embeds=False), 2)):
        with pytest.raises(ModelError, match=r"`kv_cache` \(keys and values of the given images"):
            KEEPING_KEYS.generate(pipe, STEPS)


def test_a_model_without_guidance_scale_follows_one_with_it():
    pipe, klein = FLUX2.pipeline(), FLUX2.render(guidance_embeds=False)
    with sraccel.compose(pipe, switching(klein, 1)) as stack:
        assert FLUX2.generate(pipe, STEPS).isfinite().all()
    assert [step.denoiser for step in stack.report.steps] == ["transformer"] + ["render"] * 3
