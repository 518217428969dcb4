"""Write the trained pair in diffusers' folder format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import checkpoint
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from dit import FLOW_SHIFT, PLANS, build_denoiser
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

TOKENIZER_CLASS = "PreTrainedTokenizerFast"
"""Known to transformers 4 and 5; version 5 alone would write ``TokenizersBackend``."""
HALVED = ("transformer", "render", "vae")
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"


def export_pair(work: Path, out: Path) -> None:
    """Write the sketch pipeline with ``render/`` beside its parts, in one move.

    Denoisers and autoencoder are stored in half precision and load as float32; the text encoder
    is stored in float32, because transformers would otherwise load it in half precision.
    """
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline = WanPipeline(
        tokenizer=PreTrainedTokenizerFast.from_pretrained(work / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(work / "text_encoder"),
        vae=AutoencoderKLWan.from_pretrained(work / "vae"),
        scheduler=build_scheduler(),
        transformer=load_averaged(work, "sketch"),
    )
    pipeline.save_pretrained(partial)
    load_averaged(work, "render").save_pretrained(partial / "render")
    for part in HALVED:
        _halve(partial / part / WEIGHTS_NAME)
    _forget_origin(partial / "vae" / "config.json")
    _name_tokenizer_class(partial)
    if (out / "teacache.json").exists():
        shutil.copy(out / "teacache.json", partial)
    for path in partial.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    checkpoint.replace_folder(partial, out)


def _forget_origin(config: Path) -> None:
    """Drop the folder that a part was loaded from: it is of this machine only."""
    facts = json.loads(config.read_text("utf-8"))
    facts.pop("_name_or_path", None)
    config.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")


def build_scheduler() -> UniPCMultistepScheduler:
    """Return Wan's scheduler, with its shift brought to the pair's size."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        num_train_timesteps=1000,
        flow_shift=FLOW_SHIFT,
    )


def load_averaged(work: Path, role: str) -> WanTransformer3DModel:
    """Return a denoiser with the averaged weights of its checkpoint."""
    model = build_denoiser(PLANS[role])
    state = checkpoint.load(work / f"{role}.pt")
    if state is None:
        raise FileNotFoundError(f"no checkpoint of the {role} model in {work}")
    model.load_state_dict(state["ema"])
    return model.to(torch.float32).eval()


def _halve(path: Path) -> None:
    """Store a model's tensors in half precision."""
    tensors = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _name_tokenizer_class(folder: Path) -> None:
    index = folder / "model_index.json"
    content = json.loads(index.read_text())
    content["tokenizer"] = ["transformers", TOKENIZER_CLASS]
    index.write_text(json.dumps(content, indent=2) + "\n")
    config = folder / "tokenizer" / "tokenizer_config.json"
    content = json.loads(config.read_text())
    content["tokenizer_class"] = TOKENIZER_CLASS
    content.pop("backend", None)
    config.write_text(json.dumps(content, indent=2) + "\n")
