"""Which part of a prompt's work either pool does, held against what torch counts."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from sraccel.demo.pair import demo_call
from sraccel.models.loading import load_demo
from sraccel.prediction.configuration import configuration_folders
from sraccel.prediction.stage_work import stage_work
from sraccel.recipe.recipe import Recipe
from sraccel.testing import load_demo_pipeline

SIZES = {name: demo_call()[name] for name in ("height", "width", "num_frames")}


def recipe(render: str = "demo", **options: Any) -> Recipe:
    return Recipe.load([{"use": "srdiffusion", "render": render, **options}])


def counted(role: Any) -> int:
    """Products of one step of the demo pair's model, as torch sees them."""
    pipe: Any = load_demo(role) if role == "render" else load_demo_pipeline(role)
    pipe.set_progress_bar_config(disable=True)
    found = []

    def before(module: Any, args: Any, kwargs: Any) -> None:
        found.append(FlopCounterMode(display=False))
        found[-1].__enter__()

    pipe.transformer.register_forward_pre_hook(before, with_kwargs=True)
    pipe.transformer.register_forward_hook(lambda *_: found[-1].__exit__(None, None, None))
    pipe(prompt="a red circle moving left", num_inference_steps=1, output_type="latent")
    return found[0].get_total_flops()


@pytest.mark.parametrize(("switch", "steps"), [(4, 12), (2, 20)])
def test_the_parts_are_those_of_the_products_that_torch_counts(switch: int, steps: int) -> None:
    call = {**SIZES, "num_inference_steps": steps}
    found = stage_work(recipe(switch_step=switch), "demo", call)
    before, after = switch * counted("transformer"), (steps - switch) * counted("render")
    assert sum(found) == pytest.approx(1)
    assert found[0] == pytest.approx(before / (before + after), abs=0.05)
    assert stage_work(recipe(switch_step=switch), "demo", call) == found


def test_of_published_models_no_weights_are_needed_and_long_videos_shift_the_parts() -> None:
    with configuration_folders() as folders:
        large, small = (folders.find(f"wan2.1-t2v-{size}") for size in ("14b", "1.3b"))
        parts = [
            stage_work(recipe(small, switch_step=10), large, {"num_inference_steps": 50, **size})
            for size in ({}, {"height": 720, "width": 1280, "num_frames": 81})
        ]
    # 10 steps of 14.3 billion weights, 40 of 1.4; with attention among 75,600 tokens less apart.
    assert [round(sketch, 2) for sketch, _ in parts] == [0.72, 0.57]


def test_without_a_switch_all_is_sketched() -> None:
    assert stage_work(Recipe.load([{"use": "teacache"}]), "demo", {}) == (1.0, 0.0)
