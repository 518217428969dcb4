"""Tiny Wan 2.1 and 2.2: text, image or video to video, with a control video."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKLWan,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
    WanVideoToVideoPipeline,
)
from tiny_models import (
    TEXT_DIM,
    assembled,
    frozen,
    tiny_pipeline,
    tiny_transformer,
    wan_scheduler,
    wan_settings,
    wan_vae,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from tiny.family import IMAGE, PROMPT, BlockStack, TinyFamily, output_of

IMAGE_DIM = 8


def wan_2_2_pipeline(**config: Any) -> WanPipeline:
    """Two experts; the second takes over where that of A14B does."""
    first = tiny_pipeline(**config)
    second = tiny_transformer(seed=3, **config)
    components = {**first.components, "transformer_2": second}
    return assembled(WanPipeline, **components, boundary_ratio=0.875)


def wan_image_transformer(seed: int = 0, **config: Any) -> WanTransformer3DModel:
    """A random transformer of image to video."""
    settings: dict[str, Any] = {
        "in_channels": 36,  # 16 noisy, 4 of the mask, 16 of the image
        "out_channels": 16,
        "image_dim": IMAGE_DIM,
        "added_kv_proj_dim": config.get("attention_head_dim", 16)
        * config.get("num_attention_heads", 2),
        **config,
    }
    return tiny_transformer(seed, **settings)


def wan_image_pipeline(**config: Any) -> WanImageToVideoPipeline:
    """Image to video, with a CLIP image encoder."""
    vae = frozen(
        AutoencoderKLWan,
        0,
        base_dim=4,
        z_dim=16,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        scale_factor_spatial=4,
        scale_factor_temporal=4,
    )
    clip = CLIPVisionConfig(
        hidden_size=IMAGE_DIM,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=4,
        patch_size=2,
    )
    return assembled(
        WanImageToVideoPipeline,
        vae=vae,
        scheduler=wan_scheduler(),
        image_processor=CLIPImageProcessor(size=4, crop_size=4),
        image_encoder=frozen(CLIPVisionModel, 0, config=clip),
        transformer=wan_image_transformer(**config),
    )


def wan_5b_components(**config: Any) -> dict[str, Any]:
    """What the pipelines of Wan 2.2's TI2V-5B share: a VAE with 16x compression."""
    components = tiny_pipeline(**config).components
    return {**components, "vae": wan_vae(0, 4, spatial=16), "expand_timesteps": True}


def wan_5b_pipeline(**config: Any) -> WanPipeline:
    """Text to video of TI2V-5B: each token has a timestep of its own, here all the same."""
    return assembled(WanPipeline, **wan_5b_components(**config))


def wan_5b_image_pipeline(**config: Any) -> WanImageToVideoPipeline:
    """Image to video of TI2V-5B: the first frame is given, its tokens have timestep 0."""
    return assembled(WanImageToVideoPipeline, **wan_5b_components(**config))


def wan_video_pipeline(**config: Any) -> WanVideoToVideoPipeline:
    """Video to video, whose loop begins in the middle of the schedule."""
    components = tiny_pipeline(**config).components
    del components["transformer_2"]
    return assembled(WanVideoToVideoPipeline, **components)


def wan_vace_transformer(
    seed: int = 0, vace_layers: tuple[int, ...] = (0, 2), **config: Any
) -> WanVACETransformer3DModel:
    """A random transformer; hints go to some of its blocks, in the published ones not the last."""
    settings = {
        "layers": 4,
        "vace_layers": list(vace_layers),
        "vace_in_channels": 2 * 4 + 64,  # latents outside and inside the mask, and its 8 x 8 pixels
        **config,
    }
    return frozen(WanVACETransformer3DModel, seed, **wan_settings(**settings))


def wan_vace_pipeline(**config: Any) -> WanVACEPipeline:
    """A pipeline with a control video."""
    return assembled(
        WanVACEPipeline,
        vae=wan_vae(0, 4, spatial=8),
        scheduler=wan_scheduler(),
        transformer=wan_vace_transformer(**config),
    )


WAN_IMAGE_TEXT_LENGTH = 512  # Wan's attention finds the image tokens by this length
WAN_BLOCKS = BlockStack(output_of("condition_embedder.time_embedder"), ("blocks",))
WAN = TinyFamily(
    "wan-t2v",
    "wan",
    tiny_pipeline,
    partial(tiny_transformer, seed=7, layers=2, num_attention_heads=1),
    {"height": 16, "width": 16, "num_frames": 5},
    PROMPT,
    calls_per_step=2,
    blocks=WAN_BLOCKS,
)
WAN_IMAGE_TO_VIDEO = replace(
    WAN,
    name="wan-i2v",
    pipeline=wan_image_pipeline,
    render=partial(wan_image_transformer, seed=7, layers=2),
    size={**WAN.size, "image": IMAGE},
    text={"prompt_embeds": (1, WAN_IMAGE_TEXT_LENGTH, TEXT_DIM)},
)
WAN_2_2 = replace(
    WAN,
    name="wan-2.2-a14b",
    pipeline=wan_2_2_pipeline,
    render=partial(tiny_transformer, seed=7, layers=2),
    attributes=("transformer", "transformer_2"),
)
WAN_VIDEO_TO_VIDEO = replace(
    WAN,
    name="wan-v2v",
    pipeline=wan_video_pipeline,
    size={"height": 16, "width": 16, "video": [IMAGE] * 5},
    strength=0.5,
)
WAN_5B = replace(
    WAN,
    name="wan-2.2-ti2v-5b",
    pipeline=wan_5b_pipeline,
    size={"height": 64, "width": 64, "num_frames": 5},
)
WAN_5B_IMAGE_TO_VIDEO = replace(
    WAN_5B,
    name="wan-2.2-ti2v-5b-i2v",
    pipeline=wan_5b_image_pipeline,
    size={**WAN_5B.size, "image": IMAGE},
)
WAN_VACE = replace(
    WAN,
    name="wan-vace",
    family="wan-vace",
    pipeline=wan_vace_pipeline,
    render=partial(wan_vace_transformer, seed=7, layers=3, vace_layers=(0, 1)),
    size={"height": 32, "width": 32, "num_frames": 5, "video": [IMAGE.resize((32, 32))] * 5},
    blocks=replace(WAN_BLOCKS, lists=("vace_blocks", "blocks")),
)
WAN_VACE_HINT_AT_THE_END = replace(
    WAN_VACE,
    name="wan-vace-hint-at-the-end",
    pipeline=partial(wan_vace_pipeline, vace_layers=(0, 3)),
    render=partial(WAN_VACE.render, vace_layers=(0, 2)),
    blocks=replace(WAN_VACE.blocks, tail="norm_out"),
)
