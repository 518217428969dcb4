"""A pipeline without weights: recipes can be composed with it, and its size is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import ModelError
from sraccel.loop.denoiser import ROLES
from sraccel.models.configurations import check_config
from sraccel.models.loading import as_model_errors, locate
from sraccel.models.memory import weight_bytes
from sraccel.models.source import ModelSource, PipelineOutline

if TYPE_CHECKING:
    import torch
    from torch import nn

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "image_encoder")


def outline_of(model: str) -> PipelineOutline:
    """The pipeline of a folder or a name on the hub, as `load_pipeline` would load it.

    Of the hub, configurations are fetched and no weights.

    Raises:
        ModelError: there is no such model, or it is in another format.
    """
    source = locate(model)
    with as_model_errors(source):  # a downloaded folder may hold anything
        return _outline(model, _index(source))


def _index(source: str) -> dict[str, Any]:
    from diffusers import DiffusionPipeline

    loader: Any = DiffusionPipeline
    index = loader.load_config(source)
    if not isinstance(index, dict):
        raise ModelError(f"{source}: model_index.json holds no mapping", model=source)
    return index


def _outline(model: str, index: dict[str, Any]) -> PipelineOutline:
    whole = ModelSource(model=model)
    parts: dict[str, Any] = {"scheduler": whole.scheduler(), "vae": _vae(whole, index)}
    for name in ROLES:
        if _is_there(index, name):
            parts[name] = _denoiser(model, name)
    if len(parts) == 2:
        raise ModelError(f"{model} has no denoiser (transformer or unet)", model=model)
    kind = type(str(index.get("_class_name")), (PipelineOutline,), {})
    outline: PipelineOutline = kind(**parts)
    return outline


def _is_there(index: dict[str, Any], name: str) -> bool:
    """A part that a pipeline does without is listed as [null, null]."""
    part = index.get(name)
    return isinstance(part, list) and len(part) == 2 and isinstance(part[1], str)


def _denoiser(model: str, name: str) -> nn.Module:
    module: Any = ModelSource(model=model, subfolder=name).outline()
    source = locate(model)
    # As loading it does: TeaCache looks for coefficients there, and for marks in the name.
    path = str(Path(source) / name) if Path(source).is_dir() else source
    module.register_to_config(_name_or_path=path)
    outline: nn.Module = module
    return outline


def _vae(whole: ModelSource, index: dict[str, Any]) -> Any:
    return whole.pipeline_outline().vae if _is_there(index, "vae") else None


def encoder_bytes(model: str, dtype: torch.dtype) -> dict[str, int | None]:
    """Bytes of the pipeline's text and image encoders, by name; None: not known."""
    index = _index(locate(model))
    named = [name for name in TEXT_ENCODERS if _is_there(index, name)]
    return {name: _encoder_bytes(model, name, index[name][1], dtype) for name in named}


def _encoder_bytes(model: str, name: str, kind: str, dtype: torch.dtype) -> int | None:
    import transformers
    from accelerate import init_empty_weights

    try:
        config: Any = transformers.AutoConfig.from_pretrained(
            locate(model), subfolder=name, trust_remote_code=False
        )
        check_config(config.to_dict())
        with init_empty_weights():
            module: nn.Module = getattr(transformers, kind)(config)
    except Exception:  # an unknown class, another version: many kinds, and none matters here
        return None
    return weight_bytes(module, dtype)
