"""Tiny pipelines of families whose adapters follow a relative's: SkyReels, Chroma and others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tiny.family import BlockStack, TinyFamily, output_of
from tiny.unadapted.images import CHROMA as CHROMA_PIPELINE
from tiny.unadapted.videos import (
    HUNYUAN_VIDEO_15_PIPELINE,
    SKY_REELS,
    SKY_REELS_FORCING,
    SKY_REELS_IMAGE,
    WAN_ANIMATE_PIPELINE,
)
from tiny.wan import WAN_BLOCKS


def adapted(tiny: TinyFamily, name: str, family: str, blocks: BlockStack) -> TinyFamily:
    """A tiny pipeline with what is known of its blocks; its small model has two of them."""
    render = partial(tiny.render, num_layers=2)
    return replace(tiny, name=name, family=family, blocks=blocks, calls_per_step=2, render=render)


SKYREELS_V2 = adapted(SKY_REELS, "skyreels-v2", "skyreels-v2", WAN_BLOCKS)
SKYREELS_V2_IMAGE_TO_VIDEO = adapted(SKY_REELS_IMAGE, "skyreels-v2-i2v", "skyreels-v2", WAN_BLOCKS)
SKYREELS_V2_FORCING = adapted(SKY_REELS_FORCING, "skyreels-v2-df", "skyreels-v2", WAN_BLOCKS)
WAN_ANIMATE = adapted(WAN_ANIMATE_PIPELINE, "wan-animate", "wan-animate", WAN_BLOCKS)
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
