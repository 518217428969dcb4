"""Tiles and kept prompts: on the demo pair's pipeline, whose text encoder and VAE are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sraccel_vae import TextCache, VaeTiling
from sraccel_vae.text_cache import key_of
from sraccel_vae.tiling import settings_of
from tiny_models import call_arguments, tiny_pipeline, tiny_transformer

import sraccel
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.plugin import Accelerator
from sraccel.testing import check_accelerator, load_demo_pipeline, standard_targets

has_demo = pytest.mark.skipif(
    not (DEMO_WEIGHTS / "model_index.json").is_file(), reason="the demo pair's weights are missing"
)
PROMPT = "a red circle moving left"


@pytest.fixture(scope="module")
def demo() -> Any:
    torch.set_grad_enabled(False)
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def video(pipe: Any, prompt: str = PROMPT, **arguments: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    return pipe(prompt=prompt, num_inference_steps=2, generator=generator, **arguments).frames[0]


@has_demo
class TestTextCache:
    def test_a_prompt_is_encoded_once_and_the_video_is_the_same(self, demo: Any) -> None:
        bare, runs = video(demo), []
        handle = demo.text_encoder.register_forward_hook(lambda *_: runs.append(1))
        with sraccel.compose(demo, [TextCache()]) as stack:
            first, again = video(demo), video(demo)
            encoded = len(runs)
            other = video(demo, "a blue square moving up")
        handle.remove()
        assert np.array_equal(first, bare)
        assert np.array_equal(again, bare)
        assert not np.array_equal(other, bare)
        assert encoded == 2, "the prompt and the empty negative one"
        assert "encode_prompt" not in vars(demo)
        notes = [report.accelerators[0].notes for report in stack.reports]
        assert [note["prompts_encoded"] for note in notes] == [1, 1, 2]
        assert [note["prompts_reused"] for note in notes] == [0, 1, 1]

    def test_what_lies_longest_unused_goes_first(self, demo: Any) -> None:
        with sraccel.compose(demo, [TextCache(TextCache.Options(size=1))]) as stack:
            for prompt in (PROMPT, "a blue square moving up", PROMPT):
                video(demo, prompt)
        assert stack.report.accelerators[0].notes["prompts_encoded"] == 3

    def test_it_is_restored_after_an_error(self, demo: Any) -> None:
        with pytest.raises(RuntimeError), sraccel.compose(demo, [TextCache()]):
            raise RuntimeError
        assert "encode_prompt" not in vars(demo)


def test_embeddings_are_no_key() -> None:
    assert key_of({"prompt": "one", "device": torch.device("cpu"), "dtype": torch.float32})
    assert key_of({"prompt": "one"}) != key_of({"prompt": ["one"]})
    assert key_of({"prompt_embeds": torch.zeros(1)}) is None
    assert key_of({"image": object()}) is None


class TestTiling:
    @has_demo
    def test_the_vae_decodes_in_tiles_and_is_what_it_was(self, demo: Any) -> None:
        bare, before = video(demo), settings_of(demo.vae)
        sizes = {"height": 32, "width": 32, "stride_height": 24, "stride_width": 24}
        with sraccel.compose(demo, [VaeTiling(VaeTiling.Options(**sizes))]) as stack:
            tiled = video(demo)
        assert settings_of(demo.vae) == before
        assert not np.array_equal(tiled, bare)
        assert np.abs(tiled - bare).mean() < 0.05
        assert stack.report.accelerators[0].notes["use_tiling"] is True
        assert stack.report.accelerators[0].notes["tile_sample_min_height"] == 32
        assert np.array_equal(video(demo), bare)

    def test_without_tiling_and_slicing_nothing_changes(self) -> None:
        pipe = tiny_pipeline()
        bare = pipe(**{**call_arguments(3), "output_type": "np"}).frames
        idle = VaeTiling(VaeTiling.Options(tiling=False))
        with sraccel.compose(pipe, [idle]):
            assert np.array_equal(pipe(**{**call_arguments(3), "output_type": "np"}).frames, bare)

    def test_a_pipeline_without_vae_is_refused(self) -> None:
        with pytest.raises(sraccel.ModelError, match="no enable_tiling"):
            sraccel.compose(tiny_transformer(), [VaeTiling()])


def test_both_stand_beside_the_others_in_any_order() -> None:
    pipe, render = tiny_pipeline(), tiny_transformer(seed=7, layers=1)
    recipe: list[Any] = [
        {"use": "srdiffusion", "render": render, "switch_step": 2},
        VaeTiling(),
        TextCache(),
    ]
    with sraccel.compose(pipe, recipe):
        one = pipe(**call_arguments(4)).frames
    with sraccel.compose(pipe, recipe[::-1]):
        other = pipe(**call_arguments(4)).frames
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    "target", ["Wan with two experts", pytest.param("Wan", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("kind", "idle"), [(VaeTiling, {"tiling": False}), (TextCache, None)])
def test_they_behave(kind: type[Accelerator], idle: Any, target: str) -> None:
    targets = [one for one in standard_targets() if one.name == target]
    assert check_accelerator(kind, idle=idle, targets=targets).targets == (target,)
