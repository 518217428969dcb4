"""Z-Image takes and returns a list for a batch: one tensor an image, or several where given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from residual_rules import OfficialArithmetic, ReuseFromStep1, SeesModulatedInput, blocks_of
from tiny import Z_IMAGE
from tiny_models import TEXT_DIM
from torch import nn

import sraccel
from sraccel.plugin import Accelerator, Call, hookimpl

STEPS = 6
HALF_GUIDED = {"cfg_truncation": 0.3}


class ArithmeticByBatch(OfficialArithmetic):
    """Tells calls apart by how many images they are of."""

    def _begin(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        super()._begin(block, args, kwargs)
        self.branch = len(self.start)


def test_where_guidance_ends_the_smaller_batch_computes_before_it_reuses():
    reference = Z_IMAGE.pipeline()
    ArithmeticByBatch(reference.transformer, Z_IMAGE, branches=1)
    expected = Z_IMAGE.generate(reference, STEPS, **HALF_GUIDED)
    pipe = Z_IMAGE.pipeline()
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        for _ in range(2):  # the second run is guided again
            assert torch.equal(Z_IMAGE.generate(pipe, STEPS, **HALF_GUIDED), expected)
            reused = [call.reused for step in stack.report.steps for call in step.calls]
            ended = reused.index(False, 1)
            assert reused == [step not in (0, ended) for step in range(STEPS)]
    assert 1 < ended < STEPS - 1


class SkipsCalls(Accelerator):
    """Computes the first call, then reuses its output."""

    name = "skips-calls"

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return True


class AnswersMean(Accelerator):
    """Answers with the mean over a batch of what the model says to the latents, and to less."""

    name = "answers-mean"

    @hookimpl
    def answer_call(self, call: Call) -> torch.Tensor:
        less = call.evaluate(x=call.model_input / 2)
        return (call.evaluate() + less).mean(0, keepdim=True).expand_as(less).clone()


def first_output(model: nn.Module) -> None:
    """From its second call on, the model returns what it returned to the first one."""
    kept: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> Any:
        kept.append(kept[0] if kept else output)
        return kept[-1]

    model.register_forward_hook(keep)


def mean_output(model: nn.Module) -> None:
    """The model returns the same mean as `AnswersMean`."""
    forward = model.forward

    def mean(x: Any, *args: Any, **kwargs: Any) -> Any:
        (full,), (less,) = (
            forward(list(latents), *args, **kwargs) for latents in (x, [one / 2 for one in x])
        )
        found = (torch.stack(full) + torch.stack(less)).mean(0)
        return ([found] * len(full),)

    model.forward = mean


@pytest.mark.parametrize(
    ("options", "changed"),
    [(SkipsCalls.Options(), first_output), (AnswersMean.Options(), mean_output)],
    ids=["skipped", "answered"],
)
def test_calls_of_a_batch_may_be_skipped_or_answered(options: Any, changed: Any):
    reference = Z_IMAGE.pipeline()
    changed(reference.transformer)
    expected = Z_IMAGE.generate(reference, STEPS)
    pipe = Z_IMAGE.pipeline()
    bare = Z_IMAGE.generate(pipe, STEPS)
    with sraccel.compose(pipe, [options]):
        for _ in range(2):
            assert torch.equal(Z_IMAGE.generate(pipe, STEPS), expected)
    assert torch.equal(Z_IMAGE.generate(pipe, STEPS), bare)
    assert not torch.equal(expected, bare)


def edited(model: Any, step: int) -> torch.Tensor:
    """A prediction of the Omni form: a noisy image behind a given one, for each of a batch."""
    draw = torch.Generator().manual_seed(step)
    fixed = torch.Generator().manual_seed(99)
    given = [torch.randn(4, 1, 4, 4, generator=fixed) for _ in range(2)]
    noisy = [torch.randn(4, 1, 4, 4, generator=draw) for _ in range(2)]
    prompts = [[torch.randn(3, TEXT_DIM, generator=fixed) for _ in range(2)] for _ in range(2)]
    predictions = model(
        [list(images) for images in zip(given, noisy, strict=True)],
        torch.full((2,), step / STEPS),
        prompts,
        siglip_feats=[None, None],
        image_noise_mask=[[0, 1]] * 2,
        return_dict=False,
    )[0]
    return torch.stack(predictions)


def test_given_images_have_a_modulation_of_their_own():
    reference = Z_IMAGE.render()
    modulated: list[torch.Tensor] = []
    blocks_of(Z_IMAGE).modulated(reference, modulated)
    bare = [edited(reference, step) for step in range(STEPS)]
    OfficialArithmetic(reference, Z_IMAGE, branches=1)
    expected = [edited(reference, step) for step in range(STEPS)]
    outputs: dict[str, list[torch.Tensor]] = {}
    for options in (SeesModulatedInput.Options(), ReuseFromStep1.Options()):
        model = Z_IMAGE.render()
        with (
            sraccel.compose(model, [options]) as stack,
            stack.run(num_inference_steps=STEPS) as run,
        ):
            (accelerator,) = stack.accelerators
            outputs[accelerator.name] = found = []
            for index in range(STEPS):
                with run.step(index):
                    found.append(edited(model, index))
        if isinstance(accelerator, SeesModulatedInput):
            torch.testing.assert_close(accelerator.seen, modulated[:STEPS], rtol=0, atol=0)
    seen, reused = outputs.values()
    torch.testing.assert_close(seen, bare, rtol=0, atol=0)
    torch.testing.assert_close(reused, expected, rtol=0, atol=0)
    assert not torch.equal(reused[-1], bare[-1])
