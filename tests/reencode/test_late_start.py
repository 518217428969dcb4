"""At which step the render pipeline begins, with which strength and latents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from sraccel.loop.clean_latents import clean_at
from sraccel.noise.space import noise_space_of, scheduled_levels
from sraccel.reencode.late_start import first_step_at, schedule_of, strength_for
from sraccel.reencode.render_call import SIBLINGS

SCHEDULERS = [
    UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    FlowMatchEulerDiscreteScheduler(shift=5.0),
    UniPCMultistepScheduler(prediction_type="epsilon"),
    DPMSolverMultistepScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
    EulerDiscreteScheduler(),
    HeunDiscreteScheduler(),
    CogVideoXDDIMScheduler(prediction_type="v_prediction", snr_shift_scale=3.0),
]


each_schedule = pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda one: type(one).__name__)


@each_schedule
def test_a_schedule_finds_its_own_steps(scheduler: Any):
    schedule = schedule_of(SimpleNamespace(scheduler=scheduler), 10)
    space = noise_space_of(scheduler, None)
    for step in range(10):
        levels = scheduled_levels(schedule, space.schedule, step * schedule.order)
        assert first_step_at(schedule, space, levels, 10) == step
    assert first_step_at(schedule, space, (1.0, 0.0), 10) is None


@each_schedule
def test_the_clean_latents_are_those_that_the_noise_was_added_to(scheduler: Any):
    scheduler = schedule_of(SimpleNamespace(scheduler=scheduler), 10)
    space = noise_space_of(scheduler, None)
    clean, noise = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    position = 4
    timestep = scheduler.timesteps[position : position + 1]
    if hasattr(scheduler, "add_noise"):
        latents = scheduler.add_noise(clean, noise, timestep)
    else:
        latents = scheduler.scale_noise(clean, timestep, noise)
    signal, level = scheduled_levels(scheduler, space.schedule, position)
    of_clean, of_noise = space.predicted(signal, level)
    step = SimpleNamespace(latents=latents, noise_pred=of_clean * clean + of_noise * noise)
    assert torch.allclose(clean_at(step, scheduler, space, position), clean, atol=2e-3)


@pytest.mark.parametrize("name", SIBLINGS.values())
def test_every_step_of_every_schedule_has_its_strength(name: str):
    pipe = object.__new__(getattr(diffusers, name))
    for steps in (1, 2, 7, 30, 49, 50):
        scheduler = schedule_of(SimpleNamespace(scheduler=SCHEDULERS[0]), steps)
        for first_step in range(steps):
            assert 0 < strength_for(pipe, scheduler, steps, first_step) <= 1
