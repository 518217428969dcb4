"""Tiny Wan 2.1 and 2.2."""

from __future__ import annotations

from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tiny_models import TEXT_DIM, tiny_pipeline, tiny_transformer
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from tiny.family import IMAGE, PROMPT, TinyFamily, frozen, quiet

IMAGE_DIM = 8


def wan_2_2_pipeline(**config: Any) -> WanPipeline:
    """Two experts; the second takes over where that of A14B does."""
    first = tiny_pipeline(**config)
    second = tiny_transformer(seed=3, **config)
    components = {**first.components, "transformer_2": second}
    return quiet(WanPipeline(**components, boundary_ratio=0.875))


def wan_image_transformer(seed: int = 0, layers: int = 3, **config: Any) -> WanTransformer3DModel:
    """A random transformer of image to video."""
    settings: dict[str, Any] = {
        "in_channels": 36,  # 16 noisy, 4 of the mask, 16 of the image
        "out_channels": 16,
        "image_dim": IMAGE_DIM,
        "added_kv_proj_dim": config.get("attention_head_dim", 16)
        * config.get("num_attention_heads", 2),
        **config,
    }
    return tiny_transformer(seed, layers=layers, **settings)


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
    return quiet(
        WanImageToVideoPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=vae,
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
            ),
            image_processor=CLIPImageProcessor(size=4, crop_size=4),
            image_encoder=frozen(CLIPVisionModel, 0, config=clip),
            transformer=wan_image_transformer(**config),
        )
    )


WAN_IMAGE_TEXT_LENGTH = 512  # Wan's attention finds the image tokens by this length
WAN_SIZE = {"height": 16, "width": 16, "num_frames": 5}
WAN = TinyFamily(
    "wan-t2v",
    "wan",
    tiny_pipeline,
    partial(tiny_transformer, seed=7, layers=2, num_attention_heads=1),
    WAN_SIZE,
    PROMPT,
    calls_per_step=2,
)
WAN_IMAGE_TO_VIDEO = TinyFamily(
    "wan-i2v",
    "wan",
    wan_image_pipeline,
    partial(wan_image_transformer, seed=7, layers=2),
    {**WAN_SIZE, "image": IMAGE},
    {"prompt_embeds": (1, WAN_IMAGE_TEXT_LENGTH, TEXT_DIM)},
    calls_per_step=2,
)
WAN_2_2 = TinyFamily(
    "wan-2.2-a14b",
    "wan",
    wan_2_2_pipeline,
    partial(tiny_transformer, seed=7, layers=2),
    WAN_SIZE,
    PROMPT,
    calls_per_step=2,
    attributes=("transformer", "transformer_2"),
)
