"""Stage 3: the denoisers, trained by flow matching on cached latents.

Both models predict ``v = noise - x0`` at ``x = (1 - sigma) x0 + sigma noise``. The sketch model
sees more high noise, the render model more low noise.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from data import LatentDataset
from diffusers import WanTransformer3DModel
from torch import nn
from vae import Z_DIM

NUM_TRAIN_TIMESTEPS = 1000
FLOW_SHIFT = 0.7
"""Wan's 5 at 720p, brought to the pair: times the root of 9 x 8 x 8 over 21 x 90 x 160 latent
positions, times 3.2, by which the channel of the layout is louder than one of unit variance."""


@dataclass(frozen=True)
class DenoiserPlan:
    """Size and training of one denoiser.

    ``shifts`` bend the noise levels as Wan's scheduler does, above 1 towards high noise; each takes
    its share of a batch. The learning rates are peaks; ``fall`` is the fraction of the steps over
    which they decay.
    """

    num_layers: int
    num_attention_heads: int
    ffn_dim: int
    shifts: tuple[float, ...]
    steps: int
    batch_size: int = 32
    muon_learning_rate: float = 4e-3
    adamw_learning_rate: float = 2e-3
    warmup: int = 50
    fall: float = 0.6
    ema_decay: float = 0.995
    empty_caption_rate: float = 0.1
    seed: int = 0


SKETCH = DenoiserPlan(
    num_layers=7, num_attention_heads=4, ffn_dim=512, shifts=(FLOW_SHIFT, 3.0), steps=6500
)
RENDER = DenoiserPlan(
    num_layers=2, num_attention_heads=2, ffn_dim=512, shifts=(FLOW_SHIFT,), steps=9000, seed=1
)
PLANS = {"sketch": SKETCH, "render": RENDER}


def build_denoiser(plan: DenoiserPlan) -> WanTransformer3DModel:
    """Return an untrained denoiser whose output starts at zero."""
    model = WanTransformer3DModel(
        patch_size=(3, 1, 1),
        num_attention_heads=plan.num_attention_heads,
        attention_head_dim=64,
        in_channels=Z_DIM,
        out_channels=Z_DIM,
        text_dim=64,
        freq_dim=64,
        ffn_dim=plan.ffn_dim,
        num_layers=plan.num_layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=64,
    )
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    return model


class Training:
    """One denoiser with its optimizers, averaged weights and random state; resumable."""

    def __init__(self, plan: DenoiserPlan, data: LatentDataset, device: torch.device) -> None:
        """Build model, optimizers and averaged copy on ``device``."""
        self.plan, self.data, self.device = plan, data, device
        torch.manual_seed(plan.seed)
        self.model = build_denoiser(plan).to(device)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizers = _optimizers(self.model, plan)
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.step = 0
        self.losses: list[tuple[int, float, float]] = []
        self._forward: Callable[..., Any] = self.model

    def compile(self) -> None:
        """Compile the training forward; the saved weights don't change."""
        if self.device.type == "cpu":  # its fused attention is slow in bfloat16
            self.model.set_attention_backend("_native_math")
        self._forward = torch.compile(self.model, dynamic=False)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "step": self.step,
            "losses": self.losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.generator.set_state(state["generator"])
        self.step, self.losses = state["step"], state["losses"]

    def run(self) -> Iterator[float]:
        """Train up to the planned step; yields the loss of each step."""
        started = time.monotonic()
        before = self.losses[-1][2] if self.losses else 0.0
        while self.step < self.plan.steps:
            loss = self._train_step()
            seconds = before + time.monotonic() - started
            self.losses.append((self.step, loss, round(seconds, 2)))
            self.step += 1
            yield loss

    def _train_step(self) -> float:
        self._set_learning_rates()
        noisy, timestep, embeds, target = self._draw()
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            noise_pred = self._forward(noisy, timestep, embeds, return_dict=False)[0]
        loss = nn.functional.mse_loss(noise_pred.float(), target)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._average()
        return float(loss.detach())

    def _set_learning_rates(self) -> None:
        plan, step = self.plan, self.step
        rise = min(1.0, (step + 1) / plan.warmup)
        fall = min(1.0, (plan.steps - step) / (plan.fall * plan.steps))
        peaks = (plan.muon_learning_rate, plan.adamw_learning_rate)
        for optimizer, peak in zip(self.optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * rise * max(fall, 0.01)

    def _draw(self) -> tuple[torch.Tensor, ...]:
        """Draw noisy latents, timesteps, prompt embeddings and the target v of one batch."""
        size, generator = self.plan.batch_size, self.generator
        rows = torch.randint(len(self.data), (size,), generator=generator)
        x0, embeds = self.data.latents[rows], self.data.prompt_embeds[rows]
        empty = torch.rand(size, generator=generator) < self.plan.empty_caption_rate
        embeds = torch.where(empty[:, None, None], self.data.empty_embeds, embeds)
        noise = torch.randn(x0.shape, generator=generator)
        sigma = self._draw_sigma(size)
        noisy = torch.lerp(x0, noise, sigma.view(-1, 1, 1, 1, 1))
        batch = (noisy, sigma * NUM_TRAIN_TIMESTEPS, embeds, noise - x0)
        return tuple(tensor.to(self.device) for tensor in batch)

    def _draw_sigma(self, size: int) -> torch.Tensor:
        """One noise level from each of ``size`` equal parts of [0, 1], then shifted."""
        uniform = (torch.arange(size) + torch.rand(size, generator=self.generator)) / size
        shifts = torch.tensor(self.plan.shifts).repeat(size)[:size]
        return shifts * uniform / (1 + (shifts - 1) * uniform)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.plan.ema_decay, (1 + self.step) / (10 + self.step))
        averaged, current = list(self.ema.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)


def _optimizers(model: nn.Module, plan: DenoiserPlan) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the blocks' matrices, AdamW for everything else."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        in_block = name.startswith("blocks.") and parameter.ndim == 2
        (matrices if in_block else others).append(parameter)
    muon = torch.optim.Muon(
        matrices,
        lr=plan.muon_learning_rate,
        weight_decay=0.01,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        others, lr=plan.adamw_learning_rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    return muon, adamw
