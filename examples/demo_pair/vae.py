"""Stage 1: the video autoencoder: a linear encoder and a trained decoder.

The encoder maps each 8 x 8 patch of each frame to 24 latent channels: its convolutions hold a
principal component analysis of the patches. ``silu(z) - silu(-z) = z`` makes the activation
linear, and a large constant channel makes the RMS norm nearly one. The decoder starts as the
inverse and is then trained; the latents never change, so the denoisers need not wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify
from torch.nn import functional

PATCH = 8
Z_DIM = 24
ENCODER_DIM = 64
DECODER_DIM = 96
ENCODER_CONSTANT = 400.0
DECODER_CONSTANT = 70.0
LOG_VARIANCE = -12.0
"""Of the encoder's posterior: practically deterministic."""
LOUDNESS = 1.0
"""Exponent of the components' spread in the latents: 0 whitens, 1 keeps it, so that the layout is
loud and noise hides the details long after it has stopped hiding the layout."""


def build_vae() -> AutoencoderKLWan:
    """Return an untrained autoencoder: 8x in space, 1x in time, 24 channels."""
    return AutoencoderKLWan(
        base_dim=ENCODER_DIM,
        decoder_base_dim=DECODER_DIM,
        z_dim=Z_DIM,
        dim_mult=[1],
        num_res_blocks=1,
        temperal_downsample=[],
        patch_size=PATCH,
        in_channels=3 * PATCH**2,
        out_channels=3 * PATCH**2,
        scale_factor_spatial=PATCH,
        scale_factor_temporal=1,
        latents_mean=[0.0] * Z_DIM,
        latents_std=[1.0] * Z_DIM,
    )


def encode(vae: AutoencoderKLWan, clips: torch.Tensor) -> torch.Tensor:
    """Return raw latents (batch, 24, frames, h, w) of clips in [-1, 1], for any frame count.

    ``AutoencoderKLWan.encode`` drops frames beyond the last full group of four.
    """
    moments = vae.quant_conv(vae.encoder(patchify(clips, PATCH)))
    return moments[:, :Z_DIM]


def decode(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Return clips (batch, 3, frames, height, width), all frames at once and unclamped."""
    return unpatchify(vae.decoder(vae.post_quant_conv(latents)), PATCH)


@torch.no_grad()
def initialise_linear(vae: AutoencoderKLWan, clips: torch.Tensor) -> None:
    """Set the weights to the principal components of the clips' patches."""
    patches = patchify(clips, PATCH).movedim(1, -1).reshape(-1, 3 * PATCH**2)
    mean = patches.mean(0)
    _, spread, basis = torch.pca_lowrank(patches - mean, Z_DIM, center=False, niter=6)
    spread = spread / math.sqrt(len(patches))
    scale = spread.pow(1 - LOUDNESS) * spread.pow(2 * LOUDNESS).mean().sqrt()
    analysis, synthesis = basis.T / scale[:, None], basis * scale
    _silence_residuals(vae)
    identity = torch.eye(Z_DIM)
    spare = vae.decoder.conv_in.weight[2 * Z_DIM + 1 :].clone()
    _linear_half(vae.encoder, ENCODER_CONSTANT, (analysis, -analysis @ mean), identity)
    _linear_half(vae.decoder, DECODER_CONSTANT, (identity, torch.zeros(Z_DIM)), synthesis)
    vae.decoder.conv_in.weight[2 * Z_DIM + 1 :] = spare  # random features, for training to use
    vae.encoder.conv_out.bias[Z_DIM:] = LOG_VARIANCE
    vae.decoder.conv_out.bias.copy_(mean)
    for conv in (vae.quant_conv, vae.post_quant_conv):
        _set_centre(conv, torch.eye(conv.out_channels))
        conv.bias.zero_()


def _linear_half(
    half: torch.nn.Module,
    constant: float,
    inward: tuple[torch.Tensor, torch.Tensor],
    outward: torch.Tensor,
) -> None:
    """Make encoder or decoder compute ``outward @ (matrix @ x + offset)`` at each position."""
    matrix, offset = inward
    width = half.conv_in.out_channels
    _set_centre(half.conv_in, torch.cat([matrix, -matrix]))
    half.conv_in.bias.zero_()
    half.conv_in.bias[: 2 * Z_DIM] = torch.cat([offset, -offset])
    half.conv_in.bias[2 * Z_DIM] = constant
    half.norm_out.gamma.fill_(constant / math.sqrt(width))
    _set_centre(half.conv_out, torch.cat([outward, -outward], dim=1))
    half.conv_out.bias.zero_()


def _set_centre(conv: torch.nn.Conv3d, matrix: torch.Tensor) -> None:
    """Make a causal convolution a pointwise linear map, zero where ``matrix`` is smaller."""
    rows, columns = matrix.shape
    height, width = conv.kernel_size[1:]
    conv.weight.zero_()
    conv.weight[:rows, :columns, -1, height // 2, width // 2] = matrix


def _silence_residuals(vae: AutoencoderKLWan) -> None:
    for name, module in vae.named_modules():
        if name.endswith(("conv2", "attentions.0.proj")):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)


def train_decoder(
    vae: AutoencoderKLWan,
    optimizer: torch.optim.Optimizer,
    draw: Callable[[], torch.Tensor],
    steps: range,
    *,
    learning_rate: float = 5e-4,
    latent_noise: float = 0.005,
) -> Iterator[float]:
    """Train the decoder on clips from ``draw()``; yields the error (MSE) of each step.

    A little noise on the latents makes it forgive what the denoisers leave.
    """
    for step in steps:
        remaining = (1 - step / steps.stop) ** 0.7
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, (step + 1) / 100) * remaining
        clips = draw()
        with torch.no_grad():
            latents = encode(vae, clips)
        noisy = latents + latent_noise * torch.randn_like(latents)
        with torch.autocast(clips.device.type, dtype=torch.bfloat16):
            decoded = decode(vae, noisy)
        error = functional.mse_loss(decoded.float(), clips)
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 0.5)
        optimizer.step()
        yield float(error.detach())


@torch.no_grad()
def record_statistics(vae: AutoencoderKLWan, clips: torch.Tensor) -> None:
    """Put the mean of each latent channel and one common spread into the config.

    One spread for all channels keeps the coarse components louder than the fine ones.
    """
    latents = encode(vae, clips).movedim(1, 0).flatten(1)
    mean = latents.mean(1)
    std = (latents - mean[:, None]).pow(2).mean().sqrt()
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=[float(std)] * Z_DIM)


def normalise(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Return latents as the denoiser sees them: zero mean, unit variance over all channels."""
    shape = (1, Z_DIM, 1, 1, 1)
    mean = latents.new_tensor(vae.config.latents_mean).view(shape)
    return (latents - mean) / latents.new_tensor(vae.config.latents_std).view(shape)
