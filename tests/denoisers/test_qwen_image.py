"""Qwen-Image for editing: the tokens of a given image go along behind the noisy ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from residual_rules import OfficialArithmetic, ReuseFromStep1, SeesModulatedInput
from tiny import QWEN_IMAGE, STEPS
from tiny.qwen_image import qwen_image_transformer
from tiny_models import TEXT_DIM

import sraccel


def edited(model: Any, step: int) -> torch.Tensor:
    """A prediction for 4 noisy tokens and, behind them, 4 of a given image."""
    noise = torch.Generator().manual_seed(step)
    latents = torch.randn(1, 8, 16, generator=noise)
    text = torch.randn(1, 6, TEXT_DIM, generator=torch.Generator().manual_seed(9))
    timestep = torch.tensor([1.0 - step / STEPS])
    shapes = [[(1, 2, 2), (1, 2, 2)]]
    prediction: torch.Tensor = model(
        latents, text, timestep=timestep, img_shapes=shapes, return_dict=False
    )[0]
    return prediction


@pytest.mark.parametrize("given_is_clean", [False, True], ids=["one timestep", "given at 0"])
def test_tokens_of_a_given_image_may_have_a_timestep_of_their_own(given_is_clean: bool):
    reference = qwen_image_transformer(zero_cond_t=given_is_clean)
    modulated: list[torch.Tensor] = []
    assert QWEN_IMAGE.blocks is not None
    QWEN_IMAGE.blocks.modulated(reference, modulated)
    for step in range(STEPS):
        edited(reference, step)
    OfficialArithmetic(reference, QWEN_IMAGE, branches=1)
    expected = [edited(reference, step) for step in range(STEPS)]

    model = qwen_image_transformer(zero_cond_t=given_is_clean)
    sees, reuses = SeesModulatedInput.Options(), ReuseFromStep1.Options()
    outputs: list[list[torch.Tensor]] = []
    for options in (sees, reuses):
        outputs.append([])
        with (
            sraccel.compose(model, [options]) as stack,
            stack.run(num_inference_steps=STEPS) as run,
        ):
            for index in range(STEPS):
                with run.step(index):
                    outputs[-1].append(edited(model, index))
            (accelerator,) = stack.accelerators
        if isinstance(accelerator, SeesModulatedInput):
            torch.testing.assert_close(accelerator.seen, modulated[:STEPS], rtol=0, atol=0)
    torch.testing.assert_close(outputs[1], expected, rtol=0, atol=0)
    assert not torch.equal(outputs[0][-1], outputs[1][-1])
