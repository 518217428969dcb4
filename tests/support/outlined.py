"""Folders that hold the configurations of published models, and no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WAN_14B = {
    "_class_name": "WanTransformer3DModel",
    "num_layers": 40,
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "ffn_dim": 13824,
}
WAN_1_3B = {**WAN_14B, "num_layers": 30, "num_attention_heads": 12, "ffn_dim": 8960}
WAN_I2V = {**WAN_14B, "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
WAN_VAE = {"_class_name": "AutoencoderKLWan"}
UNIPC = {
    "_class_name": "UniPCMultistepScheduler",
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
}
COGVIDEOX_5B = {
    "_class_name": "CogVideoXTransformer3DModel",
    "num_layers": 42,
    "num_attention_heads": 48,
    "use_rotary_positional_embeddings": True,
}
COGVIDEOX_2B = {
    "_class_name": "CogVideoXTransformer3DModel",
    "num_layers": 30,
    "num_attention_heads": 30,
}


def folder(path: Path, pipeline: str, **parts: dict[str, Any]) -> Path:
    """Write a pipeline's folder in diffusers' format: its index, and a configuration a part."""
    index: dict[str, Any] = {"_class_name": pipeline}
    for name, config in parts.items():
        index[name] = ["diffusers", config["_class_name"]]
        file = "scheduler_config.json" if name == "scheduler" else "config.json"
        (path / name).mkdir(parents=True)
        (path / name / file).write_text(json.dumps(config))
    (path / "model_index.json").write_text(json.dumps(index))
    return path


def wan(path: Path, transformer: dict[str, Any], **others: dict[str, Any]) -> Path:
    """A pipeline of Wan 2.1, or with `transformer_2` of Wan 2.2."""
    parts = {"scheduler": UNIPC, "vae": WAN_VAE, "transformer": transformer, **others}
    return folder(path, "WanPipeline", **parts)


def cogvideox(path: Path, transformer: dict[str, Any], scaling: float, shift: float) -> Path:
    """A pipeline of CogVideoX with the scale and the schedule of its version."""
    return folder(
        path,
        "CogVideoXPipeline",
        scheduler={
            "_class_name": "CogVideoXDDIMScheduler",
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "snr_shift_scale": shift,
            "timestep_spacing": "trailing",
        },
        vae={"_class_name": "AutoencoderKLCogVideoX", "scaling_factor": scaling},
        transformer=transformer,
    )
