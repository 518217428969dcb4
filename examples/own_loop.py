"""Accelerate a sampling loop of your own: no diffusers pipeline drives the denoiser here.

The loop says what a pipeline's seams would say: which step it is in, which guidance branch it
calls, and which guided prediction it made of them. Runs on a CPU in seconds.
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

import sraccel
from sraccel.testing import load_demo_pipeline
from sraccel.video.mp4 import save_video

PROMPT = "a green triangle moving up"
NUM_STEPS = 30
GUIDANCE_SCALE = 5.0
FLOW_SHIFT = 0.7
RECIPE = [
    {"use": "srdiffusion", "render": "demo", "switch_step": 12},
    {"use": "teacache", "threshold": 0.1},
]


@torch.no_grad()
def main(folder: Path) -> None:
    """Write own_loop.mp4 into a folder, and print the report."""
    parts = load_demo_pipeline()  # for its text encoder, denoiser and decoder
    cond, uncond = parts.encode_prompt(PROMPT, negative_prompt="", max_sequence_length=24)
    transformer = parts.transformer

    sigmas = torch.linspace(1, 0, NUM_STEPS + 1)
    sigmas = FLOW_SHIFT * sigmas / (1 + (FLOW_SHIFT - 1) * sigmas)
    shape = (1, transformer.config.in_channels, 9, 8, 8)  # latent frames, height, width
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    stack = sraccel.compose(transformer, RECIPE)
    with stack, stack.run(num_inference_steps=NUM_STEPS) as run:
        for i, (sigma, next_sigma) in enumerate(pairwise(sigmas)):
            timestep = 1000 * sigma.expand(1)
            with run.step(i, timestep=float(timestep), sigma=float(sigma)) as step:
                with step.branch("cond"):
                    v_cond = transformer(latents, timestep, cond).sample
                with step.branch("uncond"):
                    v_uncond = transformer(latents, timestep, uncond).sample
                v = v_uncond + GUIDANCE_SCALE * (v_cond - v_uncond)
                step.finish(v, latents)
            latents = latents + (next_sigma - sigma) * v  # Euler

    print(stack.report)
    save_video(decode(parts, latents), folder / "own_loop.mp4", fps=8)


def decode(parts: Any, latents: torch.Tensor) -> Any:
    """The video of normalised latents, as a pipeline decodes it."""
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (parts.vae.config.latents_mean, parts.vae.config.latents_std)
    )
    decoded = parts.vae.decode(latents * std + mean).sample
    return parts.video_processor.postprocess_video(decoded)[0]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
