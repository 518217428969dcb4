"""Placed steps: some positions of a scheduler's grid, through the real pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import sraccel

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from diffusers import WanPipeline, WanTransformer3DModel

STEPS = 8
CHOSEN = [0, 1, 3, 6]


@pytest.fixture
def placed_steps(tiny_models: Any) -> Any:
    from placed_steps import placed_steps

    return placed_steps


def test_all_positions_make_the_same_bits_as_the_plain_run(
    pipe: WanPipeline, generate: Callable[..., torch.Tensor], placed_steps: Any
) -> None:
    plain = generate(pipe, steps=STEPS)
    with placed_steps(pipe, range(STEPS)):
        assert generate(pipe, steps=STEPS).equal(plain)
    assert generate(pipe, steps=STEPS).equal(plain)


def test_only_the_chosen_noise_levels_are_visited_and_the_last_is_zero(
    pipe: WanPipeline, generate: Callable[..., torch.Tensor], placed_steps: Any
) -> None:
    pipe.scheduler.set_timesteps(STEPS)
    timesteps, sigmas = pipe.scheduler.timesteps, pipe.scheduler.sigmas
    with placed_steps(pipe, CHOSEN), sraccel.compose(pipe, []) as stack:
        generate(pipe, steps=STEPS)
        assert pipe.scheduler.sigmas.equal(sigmas[[*CHOSEN, STEPS]])
    assert stack.report.num_inference_steps == len(CHOSEN)
    assert [step.timestep for step in stack.report.steps] == timesteps[CHOSEN].tolist()


def test_a_second_run_is_as_the_first_whatever_ran_between(
    pipe: WanPipeline, generate: Callable[..., torch.Tensor], placed_steps: Any
) -> None:
    with placed_steps(pipe, CHOSEN):
        first = generate(pipe, steps=STEPS)
        assert generate(pipe, steps=STEPS).equal(first)
    generate(pipe, steps=3)
    with placed_steps(pipe, CHOSEN):
        assert generate(pipe, steps=STEPS).equal(first)
    assert not generate(pipe, steps=STEPS).equal(first)


def test_a_placed_run_is_the_solver_on_these_noise_levels_alone(
    pipe: WanPipeline, generate: Callable[..., torch.Tensor], placed_steps: Any
) -> None:
    """Nothing is left of the steps left out: plain UniPC on the same sigmas makes the same."""
    pipe.scheduler.set_timesteps(STEPS)
    shift = pipe.scheduler.config.flow_shift
    kept = pipe.scheduler.sigmas[CHOSEN].double().numpy()
    with placed_steps(pipe, CHOSEN):
        placed = generate(pipe, steps=STEPS)
    pipe.scheduler = _on_sigmas(pipe.scheduler, kept / (shift - (shift - 1) * kept))
    assert (generate(pipe, steps=len(CHOSEN)) - placed).abs().max() < 1e-4


def _on_sigmas(scheduler: Any, unshifted: Any) -> Any:
    """UniPC on these noise levels, before the shift."""

    class OnSigmas(type(scheduler)):
        def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
            super().set_timesteps(sigmas=unshifted, device=device)

    return OnSigmas.from_config(scheduler.config)


def test_accelerators_count_the_placed_steps(
    pipe: WanPipeline,
    render: WanTransformer3DModel,
    generate: Callable[..., torch.Tensor],
    placed_steps: Any,
) -> None:
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 2}]
    with placed_steps(pipe, CHOSEN), sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=STEPS)
    roles = [step.denoiser for step in stack.report.steps]
    assert roles == ["transformer", "transformer", "render", "render"]


def test_another_shift_moves_the_grid_of_this_block_only(
    pipe: WanPipeline, placed_steps: Any
) -> None:
    plain = pipe.scheduler
    with placed_steps(pipe, flow_shift=0.5):
        pipe.scheduler.set_timesteps(STEPS)
        assert float(pipe.scheduler.sigmas[STEPS // 2]) == pytest.approx(1 / 3, abs=1e-3)
    assert pipe.scheduler is plain
    assert plain.config.flow_shift == 3.0


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([], "do not begin with 0"),
        ([1, 2], "do not begin with 0"),
        ([0, 3, 3], "do not rise"),
        ([0, 5, 2], "do not rise"),
        ([0, STEPS], f"position {STEPS} lies beyond the {STEPS} steps"),
    ],
)
def test_wrong_positions_are_refused_in_words(
    pipe: WanPipeline,
    generate: Callable[..., torch.Tensor],
    placed_steps: Any,
    positions: list[int],
    words: str,
) -> None:
    with placed_steps(pipe, positions), pytest.raises(ValueError, match=words):
        generate(pipe, steps=STEPS)


def test_another_solver_is_refused_by_its_name(pipe: WanPipeline, placed_steps: Any) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    pipe.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(TypeError, match="FlowMatchEulerDiscreteScheduler"):
        with placed_steps(pipe, CHOSEN):
            pass
