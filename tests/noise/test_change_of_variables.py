"""The hand-off between noise spaces is exact; the naive one is not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from analytic import SHAPE, AnalyticAdapter, AnalyticPipeline, analytic_pipeline
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given
from hypothesis import strategies as st

import sraccel
from sraccel.noise.change_of_variables import exchange
from sraccel.noise.space import (
    FlowSchedule,
    NoiseSpace,
    VariancePreservingSchedule,
    noise_space_of,
)

COGVIDEOX = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
SPACES: dict[str, tuple[Any, float]] = {
    "CogVideoX-5b": (CogVideoXDDIMScheduler(**COGVIDEOX, snr_shift_scale=1.0), 0.7),
    "CogVideoX-2b": (CogVideoXDDIMScheduler(**COGVIDEOX, snr_shift_scale=3.0), 1.15258426),
    "flow": (FlowMatchEulerDiscreteScheduler(shift=3.0), 1.5305),
    "noise prediction": (DDIMScheduler(beta_schedule="scaled_linear"), 0.13025),
    "clean prediction": (DDIMScheduler(prediction_type="sample"), 1.0),
}
"""Scheduler and VAE scaling factor. CogVideoX: the published configurations."""


def space(name: str) -> NoiseSpace:
    scheduler, scale = SPACES[name]
    found = noise_space_of(scheduler, {"scaling_factor": scale})
    assert found is not None
    return found


@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("answering", SPACES)
@pytest.mark.parametrize("own", SPACES)
def test_the_converted_prediction_is_the_own_models_at_every_timestep(
    own: str, answering: str, components: int
) -> None:
    """To 1e-10, for data whose optimal denoiser is known; relative where predictions are large.

    Every timestep of the pair that exists (its last one holds no signal), every seventh of others.
    """
    ours, theirs = (
        analytic_pipeline(*SPACES[name], components=components).transformer
        for name in (own, answering)
    )
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean = torch.full(SHAPE, 0.4, dtype=torch.float64)
    last = 999 if space(answering).prediction_type != "epsilon" else 998
    timesteps = range(1, last, 7)
    if (own, answering) == ("CogVideoX-5b", "CogVideoX-2b"):
        timesteps = range(1, 1000)
    for timestep in timesteps:
        change = exchange(space(own), space(answering), timestep)
        answer = theirs(change.model_input(x), change.timestep, mean)[0]
        expected = ours(x, timestep, mean)[0]
        error = (change.prediction(x, answer) - expected).abs().max()
        assert error <= 1e-10 * max(1.0, float(expected.abs().max())), timestep


def test_a_noise_prediction_without_signal_is_refused() -> None:
    scheduler = DDIMScheduler(rescale_betas_zero_snr=True, beta_schedule="scaled_linear")
    silent = noise_space_of(scheduler, None)
    assert silent is not None
    with pytest.raises(sraccel.LoopError, match="signal level is zero"):
        exchange(space("CogVideoX-5b"), silent, 999)


@given(st.sampled_from(list(SPACES)), st.floats(0.0, 999.0))
def test_levels_and_timesteps_are_each_others_inverse(name: str, timestep: float) -> None:
    schedule = space(name).schedule
    signal, noise = schedule.levels(timestep)
    assert schedule.timestep(signal, noise) == pytest.approx(timestep, abs=1e-6)
    assert schedule.normalised(3 * signal, 3 * noise) == pytest.approx((signal, noise))


def test_levels_at_whole_timesteps_are_the_schedulers_own() -> None:
    scheduler, _ = SPACES["CogVideoX-2b"]
    schedule = VariancePreservingSchedule(tuple(scheduler.alphas_cumprod.double().tolist()))
    for timestep in (0, 1, 500, 998, 999):
        signal, noise = schedule.levels(timestep)
        assert signal**2 == pytest.approx(float(scheduler.alphas_cumprod[timestep]), abs=1e-12)
        assert signal**2 + noise**2 == pytest.approx(1.0)
    assert FlowSchedule().levels(250) == (0.75, 0.25)


def test_equal_scale_means_the_timestep_of_equal_signal_to_noise_ratio() -> None:
    """Known without the code under test: a schedule whose angle grows evenly, and flow."""
    even = VariancePreservingSchedule(
        tuple(math.cos(math.pi / 2 * (t + 1) / 1001) ** 2 for t in range(1000))
    )
    change = exchange(
        NoiseSpace(FlowSchedule(), "flow_prediction"), NoiseSpace(even, "v_prediction"), 500
    )
    assert change.timestep + 1 == pytest.approx(1001 / 2)  # sigma 0.5: as much noise as signal
    assert change.input_scale == pytest.approx(math.sqrt(2))


SCHEDULERS = {
    "CogVideoX DDIM": lambda: CogVideoXDDIMScheduler(**COGVIDEOX, snr_shift_scale=1.0),
    "DDIM": lambda: DDIMScheduler(**COGVIDEOX, clip_sample=False),
    "DPM": lambda: DPMSolverMultistepScheduler(beta_schedule="scaled_linear"),
    "UniPC, flow": lambda: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "UniPC": lambda: UniPCMultistepScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction"
    ),
    "Euler, noise scaled": lambda: EulerDiscreteScheduler(beta_schedule="scaled_linear"),
    "Euler, flow": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
}
BRANCHES = {1: [1.0], 2: [-2.0, 3.0], 3: [-2.0, 1.5, 1.5]}
STEPS = 12


def render_pipeline() -> AnalyticPipeline:
    scheduler = CogVideoXDPMScheduler(**COGVIDEOX, snr_shift_scale=3.0)
    return analytic_pipeline(scheduler, 1.15258426)


def sample(pipe: AnalyticPipeline, branches: int, batched: bool, recipe: list[Any]) -> torch.Tensor:
    means = [torch.full(SHAPE, 0.2 * (n + 1), dtype=torch.float64) for n in range(branches)]
    with sraccel.compose(pipe, recipe, adapters=[AnalyticAdapter()]) as stack:
        latents = pipe(STEPS, means, BRANCHES[branches], batched)
    assert stack.report.switch_step == (5 if recipe else None)
    return latents


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_hybrid_of_optimal_models_samples_what_the_own_model_alone_samples(
    scheduler: str, branches: int, batched: bool
) -> None:
    """To solver precision (some schedulers compute in float32); the naive hand-off does not."""
    pipe = analytic_pipeline(SCHEDULERS[scheduler](), 0.7)
    alone = sample(pipe, branches, batched, [])
    render = render_pipeline()
    hybrid = {"use": "srdiffusion", "switch_step": 5}
    exact = sample(pipe, branches, batched, [{**hybrid, "render": render}])
    torch.testing.assert_close(exact, alone, atol=2e-5, rtol=2e-5)
    # A module says nothing of its noise space, so it is called as if it had the pipeline's.
    naive = sample(pipe, branches, batched, [{**hybrid, "render": render.transformer}])
    assert float((naive - alone).abs().mean()) > 0.02


def test_the_render_model_is_called_at_its_own_timestep() -> None:
    pipe, render = analytic_pipeline(SCHEDULERS["CogVideoX DDIM"](), 0.7), render_pipeline()
    sample(pipe, 2, False, [{"use": "srdiffusion", "render": render, "switch_step": 5}])
    expected = [
        exchange(space("CogVideoX-5b"), space("CogVideoX-2b"), float(t)).timestep
        for t in pipe.scheduler.timesteps[5:]
        for _ in range(2)
    ]
    assert render.transformer.timesteps == pytest.approx(expected)


def test_the_report_says_how_it_was_handed_over_and_between_which_noise_levels() -> None:
    pipe, render = analytic_pipeline(SCHEDULERS["CogVideoX DDIM"](), 0.7), render_pipeline()
    mean = torch.zeros(SHAPE, dtype=torch.float64)
    records = []
    for partner in (render, render.transformer):
        recipe = [{"use": "srdiffusion", "render": partner, "switch_step": 5}]
        with sraccel.compose(pipe, recipe, adapters=[AnalyticAdapter()]) as stack:
            pipe(STEPS, [mean], [1.0], batched=False)
        records.append(stack.report.handoff)
    converted, plain = records
    assert converted is not None
    assert plain is not None
    assert (converted.kind, plain.kind) == ("change of variables", "identity")
    signal, noise = space("CogVideoX-5b").schedule.levels(float(pipe.scheduler.timesteps[5]))
    ratio = 1.15258426 / 0.7  # the render model's latents are larger, so its noise is, too
    assert converted.noise_level_before == pytest.approx(noise / (signal + noise))
    assert converted.noise_level_after == pytest.approx(noise * ratio / (signal + noise * ratio))


def test_an_own_loop_states_its_noise_space() -> None:
    pipe, render = analytic_pipeline(SCHEDULERS["CogVideoX DDIM"](), 0.7), render_pipeline()
    mean = torch.full(SHAPE, 0.3, dtype=torch.float64)
    x = torch.randn(SHAPE, dtype=torch.float64)
    expected = pipe.transformer(x, 600, mean)[0]
    stack = sraccel.compose(
        pipe.transformer,
        [{"use": "srdiffusion", "render": render, "switch_step": 0}],
        adapters=[AnalyticAdapter()],
        noise_space=space("CogVideoX-5b"),
    )
    with stack, stack.run(1) as run, run.step(0, timestep=600) as step, step.branch("cond"):
        answer = pipe.transformer(x, torch.tensor(600), mean)[0]
    torch.testing.assert_close(answer, expected, atol=1e-10, rtol=0)


def test_a_run_that_the_hand_off_refuses_keeps_its_report() -> None:
    pipe = analytic_pipeline(SCHEDULERS["CogVideoX DDIM"](), 0.7)
    silent = DDIMScheduler(rescale_betas_zero_snr=True, beta_schedule="scaled_linear")
    recipe = [{"use": "srdiffusion", "render": analytic_pipeline(silent, 1.0), "switch_step": 0}]
    with sraccel.compose(pipe, recipe, adapters=[AnalyticAdapter()]) as stack:
        with pytest.raises(sraccel.LoopError, match="signal level is zero"):
            pipe(STEPS, [torch.zeros(SHAPE, dtype=torch.float64)], [1.0], batched=False)
    assert stack.report.outcome.startswith("failed: LoopError")


def test_a_timestep_for_each_token_cannot_be_converted() -> None:
    pipe, render = analytic_pipeline(SCHEDULERS["CogVideoX DDIM"](), 0.7), render_pipeline()
    x, recipe = torch.randn(SHAPE), [{"use": "srdiffusion", "render": render, "switch_step": 0}]
    stack = sraccel.compose(
        pipe.transformer, recipe, adapters=[AnalyticAdapter()], noise_space=space("CogVideoX-5b")
    )
    with pytest.raises(sraccel.LoopError, match="every token has its own timestep"):
        with stack, stack.run(1) as run, run.step(0, timestep=600) as step, step.branch("cond"):
            pipe.transformer(x, torch.full((2, 3), 600), x)


def test_a_bare_denoiser_whose_noise_space_is_guessed_is_a_warning() -> None:
    pipe, render = analytic_pipeline(SCHEDULERS["CogVideoX DDIM"](), 0.7), render_pipeline()
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 0}]
    x = torch.randn(SHAPE, dtype=torch.float64)
    with sraccel.compose(pipe.transformer, recipe, adapters=[AnalyticAdapter()]) as stack:
        with stack.run(1) as run, run.step(0, timestep=600) as step, step.branch("cond"):
            pipe.transformer(x, torch.tensor(600), x)
    assert "noise_space=" in " ".join(stack.report.warnings)


def test_half_precision_predictions_are_combined_in_float32() -> None:
    change = exchange(space("CogVideoX-5b"), space("CogVideoX-2b"), 40)
    x, y = torch.randn(2, 1000).bfloat16()
    expected = change.of_input * x.double() + change.of_prediction * y.double()
    error = (change.prediction(x, y).double() - expected).abs()
    assert (error <= 2**-8 * expected.abs() * 1.001 + 1e-6).all()  # rounded once, at the end
