"""The demo recipe is not inferior to the bare sketch model on held-out prompts."""

from __future__ import annotations

import pytest
from semantic import Outcome, batches, paired_interval, run_batch

import sraccel
from sraccel.demo.score import ATTRIBUTES
from sraccel.testing import load_demo_pipeline

PROMPTS = 256
MARGIN = 0.03


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_recipe_loses_at_most_three_points_on_256_held_out_prompts() -> None:
    pipe = load_demo_pipeline()
    pipe.set_progress_bar_config(disable=True)
    recipe = sraccel.Recipe.load("demo").accelerators
    bare, accelerated = Outcome(), Outcome()
    for scenes, seeds in batches(PROMPTS, 16):
        run_batch(bare, pipe, [], scenes, seeds, steps=50)
        run_batch(accelerated, pipe, recipe, scenes, seeds, steps=50)
    difference, low, high = paired_interval(accelerated.means(), bare.means())
    print(f"mean over attributes: {difference:+.3f}, 95% interval [{low:+.3f}, {high:+.3f}]")
    for name in ATTRIBUTES:
        each = paired_interval(accelerated.attribute(name), bare.attribute(name))
        print(f"{name}: {each[0]:+.3f}, 95% interval [{each[1]:+.3f}, {each[2]:+.3f}]")
    assert low > -MARGIN
