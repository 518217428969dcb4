"""Forks that advance together are the runs that sraccel makes one by one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import sraccel

STEPS, GUIDANCE = 8, 5.0
Load = Callable[[str], ModuleType]


def forked(load: Load, pipe: Any, render: Any, chunk: int, prompts: int = 1) -> Any:
    """Forks of a tiny pipeline from the noise that `generate` takes, the same for each prompt."""
    import torch
    from tiny_models import call_arguments

    given = call_arguments()
    size = [given[name] for name in ("height", "width", "num_frames")]
    channels = pipe.transformer.config.in_channels
    latents = pipe.prepare_latents(
        1, channels, *size, torch.float32, torch.device("cpu"), given["generator"]
    )
    embeds = given["prompt_embeds"], given["negative_prompt_embeds"]
    repeated = tuple(each.repeat(prompts, 1, 1) for each in embeds)
    pair = load("forks").Pair(pipe.transformer, render, GUIDANCE, chunk)
    grid = load("grids").uniform_grid(pipe.scheduler, STEPS)
    return load("forks").Forks(pair, grid, latents.repeat(prompts, 1, 1, 1, 1), repeated)


def switched(pipe: Any, render: Any, generate: Callable[..., Any], step: int) -> Any:
    with sraccel.compose(pipe, [{"use": "srdiffusion", "render": render, "switch_step": step}]):
        return generate(pipe, num_inference_steps=STEPS, guidance_scale=GUIDANCE)


def test_a_fork_is_the_run_that_switches_there_to_the_bit(
    load: Load, pipe: Any, render: Any, generate: Callable[..., Any]
) -> None:
    made = forked(load, pipe, render, chunk=1).finish(range(STEPS))
    assert [*made] == [*range(STEPS), STEPS]
    for step in range(STEPS):
        assert (made[step] == switched(pipe, render, generate, step)).all(), step
    bare = generate(pipe, num_inference_steps=STEPS, guidance_scale=GUIDANCE)
    assert (made[STEPS] == bare).all()


def test_a_fork_changes_nothing_for_the_others(load: Load, pipe: Any, render: Any) -> None:
    every = forked(load, pipe, render, chunk=1).finish(range(STEPS))
    some = forked(load, pipe, render, chunk=1).finish([3, 6])
    assert all((some[step] == every[step]).all() for step in (3, 6, STEPS))


@pytest.mark.parametrize("chunk", [2, 5, 64])
def test_prompts_and_forks_that_share_a_batch_are_as_if_alone(
    load: Load, pipe: Any, render: Any, chunk: int
) -> None:
    import torch

    alone = forked(load, pipe, render, chunk=1).finish(range(STEPS))
    together = forked(load, pipe, render, chunk, prompts=3).finish(range(STEPS))
    for step, latents in alone.items():
        torch.testing.assert_close(together[step], latents.expand(3, -1, -1, -1, -1))


def test_the_papers_metric_of_a_step_is_what_sraccel_measures(
    load: Load, pipe: Any, render: Any, generate: Callable[..., Any]
) -> None:
    forks = forked(load, pipe, render, chunk=1)
    trace = load("features").FeatureTrace(1)
    for step in forks.run():
        trace.add(step)
    stack = sraccel.compose(
        pipe, [{"use": "srdiffusion", "render": render, "switch_step": STEPS - 1}]
    )
    stack.logs_warnings = False
    with stack:
        generate(pipe, num_inference_steps=STEPS, guidance_scale=GUIDANCE)
    measured = [step.measured for step in stack.report.steps[: STEPS - 1]]
    found = [values.get("srdiffusion.noise_rel_l1") for values in measured]
    assert found[0] is None
    assert None not in found[1:]
    assert trace.rows[0]["d"][: STEPS - 1] == pytest.approx(found)


def test_placed_steps_at_every_position_are_the_full_run(
    load: Load, pipe: Any, render: Any
) -> None:
    grids = load("grids")
    full = forked(load, pipe, render, chunk=1)
    placed = forked(load, pipe, render, chunk=1)
    placed.scheduler = grids.placed_grid(pipe.scheduler, STEPS, range(STEPS))
    placed.scheduler.set_begin_index(0)
    assert (placed.finish()[STEPS] == full.finish()[STEPS]).all()


def test_positions_rise_from_the_start_and_fit(load: Load) -> None:
    grids = load("grids")
    for count in range(1, 21):
        for power in grids.POWERS:
            positions = grids.power_positions(20, count, power)
            assert len(positions) == count
            assert positions[0] == 0
            assert sorted(set(positions)) == positions
            assert positions[-1] < 20
