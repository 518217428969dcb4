"""LTX-2: two streams that are both carried, and three passes of guidance a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from residual_rules import OfficialArithmetic, ReuseFromStep1, SeesModulatedInput, blocks_of
from tiny import LTX2, LTX2_ALL_GUIDANCE, LTX2_IMAGE_TO_VIDEO, TinyFamily
from torch import nn
from two_models import Counted, switching, with_models_swapped

import sraccel
from sraccel.denoisers.ltx2 import LTX2Adapter
from sraccel.errors import HandoverError
from sraccel.handover.sketching import until_switch
from sraccel.plugin import Accelerator, Call, ConflictError, LoopError, ModelError, hookimpl

STEPS = 4
PASSES = ["cond_uncond", "uncond_stg", "uncond_modality"]


def test_each_pass_of_guidance_is_a_branch_with_a_residual_of_its_own():
    tiny = LTX2_ALL_GUIDANCE
    reference = tiny.pipeline()
    official = OfficialArithmetic(reference.transformer, tiny, branches=len(PASSES))
    expected = tiny.generate(reference, STEPS)
    assert official.replaced == len(PASSES) * (STEPS - 1)
    pipe = tiny.pipeline()
    with sraccel.compose(pipe, [ReuseFromStep1.Options()]) as stack:
        for _ in range(2):
            assert torch.equal(tiny.generate(pipe, STEPS), expected)
            steps = stack.report.steps
            assert [[call.branch for call in step.calls] for step in steps] == [PASSES] * STEPS
            assert [[call.reused for call in step.calls] for step in steps] == [
                [index > 0] * len(PASSES) for index in range(STEPS)
            ]


@pytest.mark.parametrize("tiny", [LTX2_ALL_GUIDANCE, LTX2_IMAGE_TO_VIDEO], ids=str)
def test_a_second_model_takes_over_video_and_sound(tiny: TinyFamily):
    pipe = tiny.pipeline()
    with sraccel.compose(pipe, switching(tiny.render(), STEPS // 2)):
        switched = tiny.generate(pipe, STEPS)
    expected = with_models_swapped(tiny, tiny.render(), STEPS // 2, steps=STEPS)
    assert torch.equal(switched, expected)


class SkipsTheMiddle(Accelerator):
    """Skips a part of the stack that ends before it does."""

    name = "skips-the-middle"
    block_span = (1, -1)

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return True


def test_a_part_of_the_stack_that_ends_before_the_last_block_is_skipped_in_both_streams():
    def recorded(block: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        start = kwargs["hidden_states"], kwargs["audio_hidden_states"]
        if not kept:
            kept.extend(end - begin for end, begin in zip(output, start, strict=True))
            return None
        return tuple(begin + added for begin, added in zip(start, kept, strict=True))

    kept: list[torch.Tensor] = []
    reference = LTX2.pipeline(num_layers=3)
    reference.transformer.transformer_blocks[1].register_forward_hook(recorded, with_kwargs=True)
    expected = LTX2.generate(reference, STEPS)
    pipe = LTX2.pipeline(num_layers=3)
    with sraccel.compose(pipe, [SkipsTheMiddle.Options()]):
        assert torch.equal(LTX2.generate(pipe, STEPS), expected)


def test_streams_come_back_as_they_were_whichever_is_wider():
    adapter = LTX2Adapter()
    narrow, wide = torch.randn(2, 3, 4), torch.randn(2, 5, 6)
    for streams in ((narrow, wide), (wide, narrow)):
        for args, kwargs in (
            (streams, {}),
            (streams[:1], {"audio_hidden_states": streams[1]}),
            ((), dict(zip(("hidden_states", "audio_hidden_states"), streams, strict=True))),
        ):
            joined = adapter.block_input(args, kwargs)
            assert joined.shape == (2, 8, 6)
            assert adapter.unchanged(args, kwargs) == streams
            back = adapter.with_carried(streams, joined)
            assert all(map(torch.equal, back, streams))


def test_a_model_whose_attention_cannot_be_perturbed_is_refused_where_guidance_asks_for_it():
    adapter, able = LTX2Adapter(), LTX2_ALL_GUIDANCE.render()
    perturbing = {"spatio_temporal_guidance_blocks": [1]}
    assert adapter.sibling_arguments(able, perturbing) == perturbing
    unable, short = LTX2.render(), LTX2_ALL_GUIDANCE.render(num_layers=1)
    for other, why in ((unable, "attention cannot be perturbed"), (short, "has 1 blocks")):
        assert adapter.sibling_arguments(other, {"hidden_states": None})
        with pytest.raises(ModelError, match=why):
            adapter.sibling_arguments(other, perturbing)


def test_a_model_of_another_precision_gets_exact_times_and_gives_sound_in_the_loops_precision():
    tiny = LTX2_IMAGE_TO_VIDEO
    recording, pipe = Counted((own := tiny.pipeline()).transformer), tiny.pipeline()
    tiny.generate(own, 2, guidance=1.0)
    model, render = pipe.transformer, tiny.render().to(torch.bfloat16)
    seen = Counted(render)
    with (
        sraccel.compose(model, switching(render, 1)) as stack,
        stack.run(num_inference_steps=2) as run,
    ):
        for index, given in enumerate(recording.calls):
            with run.step(index) as step, step.branch("cond"):
                outputs = model(**given)
    (rendered,), second = seen.calls, recording.calls[1]
    for name in ("timestep", "audio_timestep", "sigma"):
        assert torch.equal(rendered[name], second[name])
    assert rendered["audio_hidden_states"].dtype == torch.bfloat16
    assert [output.dtype for output in outputs] == [torch.float32] * 2


LIKE_2_3 = {"cross_attn_mod": True, "audio_cross_attn_mod": True, "gated_attn": True}
"""LTX-2.3 modulates its attention to the text, too, so its blocks have nine modulations."""


def test_blocks_with_nine_modulations_are_decided_by_the_two_of_their_first_attention():
    reference, expected = LTX2.pipeline(**LIKE_2_3), list[torch.Tensor]()
    blocks_of(LTX2).modulated(reference.transformer, expected)
    LTX2.generate(reference, STEPS)
    pipe = LTX2.pipeline(**LIKE_2_3)
    with sraccel.compose(pipe, [SeesModulatedInput.Options()]) as stack:
        LTX2.generate(pipe, STEPS)
        (accelerator,) = stack.accelerators
    assert isinstance(accelerator, SeesModulatedInput)
    torch.testing.assert_close(accelerator.seen, expected, rtol=0, atol=0)


def test_models_that_take_the_text_otherwise_do_not_take_turns():
    adapter, later = LTX2Adapter(), {"use_prompt_embeddings": False}
    with pytest.raises(ModelError, match=r"use_prompt_embeddings: True .*, False \(render\)"):
        sraccel.compose(LTX2.pipeline(), switching(LTX2.render(**later)))
    widths = {"cross_attention_dim", "audio_cross_attention_dim"}
    more = adapter.interface(LTX2.render(**later)).keys() - adapter.interface(LTX2.render()).keys()
    assert more == widths


class SkipsCalls(Accelerator):
    """Would take the last output again: of video, and of what of sound?"""

    name = "skips-calls"

    @hookimpl
    def skip_call(self, call: Call) -> bool:
        return True


def test_what_knows_of_one_stream_alone_is_refused_in_words():
    pipe = LTX2.pipeline()
    with sraccel.compose(pipe, [SkipsCalls.Options()]):
        with pytest.raises(LoopError, match="returns several tensors"):
            LTX2.generate(pipe, STEPS)
    steps = {"use": "steps", "number": 2, "placement": "uniform"}
    with pytest.raises(ConflictError, match=r"'steps' plans the steps.*two schedulers"):
        sraccel.compose(pipe, [steps])
    stack = sraccel.compose(pipe, switching(LTX2.render(), 2))
    with pytest.raises(HandoverError, match="two schedulers"):
        until_switch(stack, LTX2.arguments(STEPS))
