"""Tiny pipelines of families whose adapters follow a relative's: SkyReels, Chroma and others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tiny.family import BlockStack, TinyFamily, argument_of, output_of
from tiny.unadapted.images import CHROMA as CHROMA_PIPELINE
from tiny.unadapted.images import FLUX2 as FLUX2_PIPELINE
from tiny.unadapted.images import FLUX2_KLEIN as FLUX2_KLEIN_PIPELINE
from tiny.unadapted.images import Z_IMAGE as Z_IMAGE_PIPELINE
from tiny.unadapted.videos import ALLEGRO as ALLEGRO_PIPELINE
from tiny.unadapted.videos import CHRONO_EDIT as CHRONO_EDIT_PIPELINE
from tiny.unadapted.videos import (
    HUNYUAN_VIDEO_15_PIPELINE,
    SANA_VIDEO_FROM_IMAGE,
    SANA_VIDEO_PIPELINE,
    SKY_REELS,
    SKY_REELS_FORCING,
    SKY_REELS_IMAGE,
    WAN_ANIMATE_PIPELINE,
)
from tiny.wan import WAN_BLOCKS


def adapted(
    tiny: TinyFamily,
    name: str,
    family: str,
    blocks: BlockStack,
    calls_per_step: int = 2,
    layers: str = "num_layers",
) -> TinyFamily:
    """A tiny pipeline with what is known of its blocks; its small model has two of them."""
    return replace(
        tiny,
        name=name,
        family=family,
        blocks=blocks,
        calls_per_step=calls_per_step,
        render=partial(tiny.render, **{layers: 2}),
    )


SKYREELS_V2 = adapted(SKY_REELS, "skyreels-v2", "skyreels-v2", WAN_BLOCKS)
SKYREELS_V2_IMAGE_TO_VIDEO = adapted(SKY_REELS_IMAGE, "skyreels-v2-i2v", "skyreels-v2", WAN_BLOCKS)
SKYREELS_V2_FORCING = adapted(SKY_REELS_FORCING, "skyreels-v2-df", "skyreels-v2", WAN_BLOCKS)
WAN_ANIMATE = adapted(WAN_ANIMATE_PIPELINE, "wan-animate", "wan-animate", WAN_BLOCKS)
WAN_ANIMATE_FACE_AT_THE_END = replace(
    WAN_ANIMATE,
    name="wan-animate-face-at-the-end",
    pipeline=partial(WAN_ANIMATE.pipeline, inject_face_latents_blocks=1),
    render=partial(WAN_ANIMATE.render, inject_face_latents_blocks=1),
    blocks=replace(WAN_BLOCKS, tail="norm_out"),
)
"""A face adapter behind every block, so behind the last one, too."""
CHRONO_EDIT = adapted(CHRONO_EDIT_PIPELINE, "chrono-edit", "chrono-edit", WAN_BLOCKS)
FIRST_NORM = output_of("transformer_blocks.0.norm1", 0)
HUNYUAN_VIDEO_15 = adapted(
    HUNYUAN_VIDEO_15_PIPELINE,
    "hunyuan-video-1.5",
    "hunyuan-video-1.5",
    BlockStack(FIRST_NORM, returns="he"),
)
CHROMA = adapted(
    CHROMA_PIPELINE,
    "chroma",
    "chroma",
    BlockStack(
        FIRST_NORM,
        lists=("transformer_blocks", "single_transformer_blocks"),
        returns="eh",
        tail="norm_out",
    ),
)
SANA_VIDEO_BLOCKS = BlockStack(
    argument_of("transformer_blocks.0.attn1", 0),
    parameters=("hidden_states", "attention_mask", "encoder_hidden_states"),
    tail="norm_out",
)
SANA_VIDEO = adapted(SANA_VIDEO_PIPELINE, "sana-video", "sana-video", SANA_VIDEO_BLOCKS, 1)
SANA_VIDEO_IMAGE_TO_VIDEO = adapted(
    SANA_VIDEO_FROM_IMAGE, "sana-video-i2v", "sana-video", SANA_VIDEO_BLOCKS, 1
)
FLUX2_BLOCKS = BlockStack(
    argument_of("transformer_blocks.0.attn", "hidden_states"),
    lists=("transformer_blocks", "single_transformer_blocks"),
    parameters=("hidden_states", "encoder_hidden_states", "temb_mod_img"),
    returns="eh",
    tail="norm_out",
)
FLUX2 = adapted(FLUX2_PIPELINE, "flux2-dev", "flux2", FLUX2_BLOCKS, calls_per_step=1)
FLUX2_KLEIN = adapted(FLUX2_KLEIN_PIPELINE, "flux2-klein", "flux2", FLUX2_BLOCKS)
Z_IMAGE = adapted(
    Z_IMAGE_PIPELINE,
    "z-image",
    "z-image",
    BlockStack(
        argument_of("layers.0.attention", 0),
        lists=("layers",),
        parameters=("x", "attn_mask", "freqs_cis", "adaln_input"),
    ),
    calls_per_step=1,
    layers="n_layers",
)
ALLEGRO = adapted(
    ALLEGRO_PIPELINE,
    "allegro",
    "allegro",
    BlockStack(argument_of("transformer_blocks.0.attn1", 0)),
    calls_per_step=1,
)
