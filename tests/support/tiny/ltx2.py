"""Tiny LTX-2: video and sound, text or image to both, with all of its guidance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    LTX2ImageToVideoPipeline,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from tiny_models import TEXT_DIM, assembled, frozen

from tiny.family import IMAGE, STEPS, BlockStack, TinyFamily, argument_of
from tiny.ltx import ltx_scheduler

LATENT_CHANNELS = 4
CONNECTOR = {"num_attention_heads": 2, "attention_head_dim": TEXT_DIM // 2, "num_layers": 1}


def ltx2_transformer(seed: int = 0, **config: Any) -> LTX2VideoTransformer3DModel:
    """A random transformer, whose stream of sound is half as wide as that of video."""
    heads = {"num_attention_heads": 2, "attention_head_dim": 16}
    heads |= {key: config[key] for key in heads if key in config}
    width = heads["num_attention_heads"] * heads["attention_head_dim"]
    settings: dict[str, Any] = {
        **heads,
        "in_channels": LATENT_CHANNELS,
        "out_channels": LATENT_CHANNELS,
        "cross_attention_dim": width,
        "audio_in_channels": LATENT_CHANNELS,
        "audio_out_channels": LATENT_CHANNELS,
        "audio_num_attention_heads": heads["num_attention_heads"],
        "audio_attention_head_dim": heads["attention_head_dim"] // 2,
        "audio_cross_attention_dim": width // 2,
        "num_layers": 2,
        "caption_channels": TEXT_DIM,
        "rope_type": "split",
        **config,
    }
    return frozen(LTX2VideoTransformer3DModel, seed, **settings)


def ltx2_pipeline(**config: Any) -> LTX2Pipeline:
    """A pipeline with the connectors that prepare the text for both streams."""
    connectors = frozen(
        LTX2TextConnectors,
        0,
        caption_channels=TEXT_DIM,
        text_proj_in_factor=2,
        **{
            f"{stream}_connector_{key}": value
            for stream in ("video", "audio")
            for key, value in {**CONNECTOR, "num_learnable_registers": None}.items()
        },
        rope_type="split",
    )
    vae = frozen(
        AutoencoderKLLTX2Video,
        0,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatial",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        patch_size=4,
    )
    audio_vae = frozen(
        AutoencoderKLLTX2Audio,
        0,
        base_channels=4,
        ch_mult=(1,),
        num_res_blocks=1,
        resolution=32,
        latent_channels=2,
        mel_bins=4 * LATENT_CHANNELS // 2,
    )
    return assembled(
        LTX2Pipeline,
        scheduler=ltx_scheduler(),
        vae=vae,
        audio_vae=audio_vae,
        connectors=connectors,
        transformer=ltx2_transformer(**config),
    )


def ltx2_image_pipeline(**config: Any) -> LTX2ImageToVideoPipeline:
    """Image to video: each token of video has a timestep of its own."""
    return assembled(LTX2ImageToVideoPipeline, **ltx2_pipeline(**config).components)


@dataclass(frozen=True, eq=False)
class VideoWithSound(TinyFamily):
    """A family whose pipelines return two things."""

    def generate(self, pipeline: Any, steps: int = STEPS, **more: Any) -> torch.Tensor:
        """The latents of a run, those of sound behind those of video, without their shapes."""
        output = pipeline(**self.arguments(steps, **more))
        return torch.cat([output.frames.flatten(), output.audio.flatten()])


@dataclass(frozen=True)
class TwoStreams(BlockStack):
    """Blocks whose two streams are both carried: here as one, without their shapes."""

    def start(self, args: Any, kwargs: dict[str, Any]) -> torch.Tensor:
        return _flat(kwargs["hidden_states"], kwargs["audio_hidden_states"])

    def hidden(self, output: Any) -> torch.Tensor:
        return _flat(*output)

    def with_hidden(self, output: Any, hidden: torch.Tensor) -> Any:
        sizes = [stream[0].numel() for stream in output]
        parts = hidden.split(sizes, dim=1)
        return tuple(part.reshape(one.shape) for part, one in zip(parts, output, strict=True))


def _flat(*streams: torch.Tensor) -> torch.Tensor:
    return torch.cat([stream.flatten(1) for stream in streams], dim=1)


PLAIN = {"stg_scale": 0.0, "modality_scale": 1.0}
OF_SOUND = {f"audio_{key}": None for key in ("guidance_scale", *PLAIN)}
"""Taken to be those of video."""
LTX2 = VideoWithSound(
    "ltx2",
    "ltx2",
    ltx2_pipeline,
    partial(ltx2_transformer, seed=7),
    {"height": 32, "width": 32, "num_frames": 3, **PLAIN, **OF_SOUND},
    {"prompt_embeds": (1, 6, 2 * TEXT_DIM)},
    masked=True,
    blocks=TwoStreams(argument_of("transformer_blocks.0.attn1", "hidden_states")),
)
LTX2_IMAGE_TO_VIDEO = replace(
    LTX2,
    name="ltx2-i2v",
    pipeline=ltx2_image_pipeline,
    size={**LTX2.size, "image": IMAGE, "image_crf": 0},
)
LTX2_ALL_GUIDANCE = replace(
    LTX2,
    name="ltx2-all-guidance",
    pipeline=partial(ltx2_pipeline, perturbed_attn=True),
    render=partial(ltx2_transformer, seed=7, perturbed_attn=True),
    size={
        **LTX2.size,
        "stg_scale": 1.0,
        "spatio_temporal_guidance_blocks": [1],
        "modality_scale": 3.0,
    },
    guidance=None,
    calls_per_step=3,
)
"""One batch of both prompts; then with blocks perturbed; then each stream by itself."""
