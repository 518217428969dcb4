"""CogVideoX-5b to -2b: another scale, another noise schedule, no rotary embeddings."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import COGVIDEOX_DDIM, COGVIDEOX_DPM, HALF, STEPS
from tiny.cogvideox import cogvideox_pipeline, cogvideox_transformer
from torch import nn
from two_models import Counted, few_examples, switching, with_models_swapped

import sraccel
from sraccel.noise.change_of_variables import exchange
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Contribution,
    ModelError,
    Step,
    hookimpl,
    noise_space_of,
)


class HandsOver(Accelerator):
    """Switches to a model that has a noise space of its own."""

    name = "hands-over"

    class Options(AcceleratorOptions):
        render: Any
        step: int

    options: Options

    @hookimpl
    def contribute_denoisers(self, stack: sraccel.Stack) -> dict[str, Contribution]:
        return {"render": self.options.render}

    @hookimpl
    def select_denoiser(self, step: Step) -> str | None:
        return "render" if step.index >= self.options.step else None


def noise_space(pipe: Any) -> Any:
    return noise_space_of(pipe.scheduler, pipe.vae.config)


class InTermsOfTheSketchModel(nn.Module):
    """The 2B model as a 5B pipeline may call it, by textbook formulas in float64.

    It goes by way of the clean latent and the noise: of the noisy latent `x = a x0 + b e` with the
    velocity `v = a e - b x0`, `x0 = a x - b v` and `e = b x + a v`.
    """

    def __init__(self, sketch: Any, render: Any) -> None:
        super().__init__()
        self.render, self.config = render.transformer, sketch.transformer.config
        self.ratio = render.vae.config.scaling_factor / sketch.vae.config.scaling_factor
        self.angles = [self._angles(pipe.scheduler) for pipe in (sketch, render)]

    @staticmethod
    def _angles(scheduler: Any) -> np.ndarray:
        signal = scheduler.alphas_cumprod.double().clamp(0, 1).sqrt()
        return torch.atan2((1 - signal**2).sqrt(), signal).numpy()

    def cache_context(self, name: str) -> AbstractContextManager[object]:
        return self.render.cache_context(name)

    def forward(self, hidden_states: torch.Tensor, timestep: torch.Tensor, **given: Any) -> Any:
        ours, theirs = self.angles
        angle = ours[int(timestep[0])]
        angle_r = math.atan2(self.ratio * math.sin(angle), math.cos(angle))
        timestep_r = np.interp(angle_r, theirs, np.arange(len(theirs)))
        a, b, a_r, b_r = (f(x) for x in (angle, angle_r) for f in (math.cos, math.sin))
        noisy = hidden_states.double() * b_r / b
        given.pop("image_rotary_emb")
        given["timestep"] = torch.full(timestep.shape, float(timestep_r))
        velocity = self.render(hidden_states=noisy.float(), **given)[0].double()
        clean, noise = a_r * noisy - b_r * velocity, b_r * noisy + a_r * velocity
        return ((a * noise - b * clean / self.ratio).float(),)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm"])
@few_examples
@given(step=st.integers(1, STEPS - 1), guidance=st.sampled_from([1.0, 4.0]))
def test_cogvideox_hands_over_to_a_model_with_another_scale_and_schedule(
    scheduler: str, step: int, guidance: float
):
    tiny = COGVIDEOX_DDIM if scheduler == "ddim" else COGVIDEOX_DPM
    pipe, small = tiny.pipeline(), cogvideox_pipeline("2b", scheduler, seed=7, layers=2)
    assert noise_space(pipe) != noise_space(small)
    contribution = Contribution(small.transformer, noise_space(small))
    with sraccel.compose(pipe, [HandsOver.Options(render=contribution, step=step)]):
        accelerated = tiny.generate(pipe, guidance=guidance)
    reference = InTermsOfTheSketchModel(pipe, small)
    expected = with_models_swapped(tiny, reference, step, guidance=guidance)
    torch.testing.assert_close(accelerated, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("given_as", ["folder", "pipeline"])
def test_srdiffusion_reads_the_other_noise_space_from_the_render_models_own_pipeline(
    given_as: str, tmp_path: Path
):
    pipe, small = COGVIDEOX_DDIM.pipeline(), cogvideox_pipeline("2b", seed=7, layers=2)
    if given_as == "folder":
        small.save_pretrained(tmp_path)
    latents: list[torch.Tensor] = []

    def keep(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        latents.append(tensors["latents"])
        return {}

    with sraccel.compose(
        pipe, switching(str(tmp_path) if given_as == "folder" else small)
    ) as stack:
        seen = Counted(stack.denoisers["render"].module)
        COGVIDEOX_DDIM.generate(pipe, callback_on_step_end=keep)
    assert len(seen.calls) == STEPS - HALF
    for step, call in enumerate(seen.calls, start=HALF):
        timestep = float(pipe.scheduler.timesteps[step])
        change = exchange(noise_space(pipe), noise_space(small), timestep)
        torch.testing.assert_close(call["timestep"], torch.full((2,), change.timestep))
        noisy = torch.cat([latents[step - 1]] * 2)
        torch.testing.assert_close(call["hidden_states"], change.model_input(noisy))
        assert "image_rotary_emb" not in call


def test_the_naive_hand_over_would_be_another_video():
    pipe, small = COGVIDEOX_DDIM.pipeline(), cogvideox_pipeline("2b", seed=7, layers=2)
    results = []
    for space in (None, noise_space(small)):
        contribution = Contribution(small.transformer, space)
        with sraccel.compose(pipe, [HandsOver.Options(render=contribution, step=HALF)]):
            results.append(COGVIDEOX_DDIM.generate(pipe))
    assert (results[0] - results[1]).abs().mean() > 0.05 * results[1].abs().mean()


@pytest.mark.parametrize(
    ("version", "render", "message"),
    [
        ("2b", {"version": "5b"}, "needs rotary embeddings, which the pipeline does not compute"),
        ("5b", {"version": "5b", "attention_head_dim": 32}, "rotary embeddings do not fit"),
        ("5b", {"version": "5b", "patch_size_t": 2}, "rotary embeddings do not fit"),
        ("5b", {"version": "5b", "ofs_embed_dim": 8}, "needs a frame offset"),
    ],
)
def test_a_cogvideox_model_that_needs_what_the_loop_does_not_compute_is_refused(
    version: str, render: dict[str, Any], message: str
):
    pipe = cogvideox_pipeline(version)
    with pytest.raises(ModelError, match=message):
        sraccel.compose(pipe, switching(cogvideox_transformer(**render, seed=7, layers=2)))
