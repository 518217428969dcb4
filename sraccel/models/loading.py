"""Loading pipelines by name: a folder, a name on the hub, or `demo` for the pair in the package.

Weights come from safetensors files only, and code that comes with a model is never run. Importing
this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sraccel.demo.pair import DEMO, demo_weights
from sraccel.errors import ModelError, SraccelError
from sraccel.models.completeness import check_pipeline
from sraccel.models.configurations import check_folder

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline, WanPipeline

FPS = 16
"""Frames per second of a video whose model does not say; Wan's."""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Device = Literal["auto", "cpu", "cuda"]
DType = Literal["auto", "float32", "bfloat16", "float16"]
Offload = Literal["none", "model"]
Role = Literal["transformer", "render"]


def load_demo(role: Role = "transformer", **kwargs: Any) -> WanPipeline:
    """The demo pair's pipeline with its large transformer or the small one that renders.

    Args:
        role: which of the two transformers denoises.
        kwargs: passed on to `from_pretrained` (`dtype`, say).

    Raises:
        ModelError: the weights are missing from this installation.
    """
    from diffusers import WanTransformer3DModel

    from sraccel.demo.pipeline import DemoPipeline

    folder = demo_weights()
    models: Any = WanTransformer3DModel
    pipelines: Any = DemoPipeline
    with as_model_errors(str(folder)):
        if role == "render":
            kwargs["transformer"] = models.from_pretrained(
                folder, subfolder="render", dtype=kwargs.get("dtype"), use_safetensors=True
            )
        pipeline: WanPipeline = pipelines.from_pretrained(folder, use_safetensors=True, **kwargs)
    return pipeline


def locate(name: str | Path) -> str:
    """The folder or hub name that a model's name stands for; imports nothing.

    Raises:
        ModelError: it can be neither, or `demo` is meant and its weights are missing.
    """
    name = str(name)
    if name == DEMO:
        return str(demo_weights())
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if path.is_file():
        raise ModelError(
            f"{name} is a file; a model is a folder in diffusers' format (it holds "
            "model_index.json), a name on the hub such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers, or "
            "demo",
            model=name,
        )
    if name.startswith((".", "/", "~")) or not HUB_NAME.fullmatch(name):
        raise ModelError(
            f"no model folder {name!r}; give a folder in diffusers' format, a name on the hub such "
            "as Wan-AI/Wan2.1-T2V-1.3B-Diffusers, or demo for the pair that comes with sraccel",
            model=name,
        )
    return name


def load_pipeline(
    name: str | Path,
    *,
    revision: str | None = None,
    dtype: DType = "auto",
    device: Device = "auto",
    offload: Offload = "none",
    role: Role = "transformer",
    without: Sequence[str] = (),
) -> DiffusionPipeline:
    """Load a diffusers pipeline and place it.

    Args:
        name: a folder in diffusers' format, a name on the hub, or `demo`.
        revision: branch, tag or commit on the hub.
        dtype: of the weights; `auto` is bfloat16 on CUDA and float32 elsewhere. Wan's VAE stays
            float32, as its authors advise.
        device: where to run; `auto` takes CUDA if there is one.
        offload: `model` keeps on the GPU only the part that is at work.
        role: of `demo`, which of the pair's two transformers denoises.
        without: components that are not loaded: None stands in their place.

    Raises:
        ModelError: there is no such model, it is in another format, wants code of its own, or the
            device is not there.
    """
    source = locate(name)
    target = device_of(device, offload)
    precision = precision_of(dtype, target)
    demo = str(name) == DEMO
    pipeline: Any = (
        load_demo(role, dtype=precision, **dict.fromkeys(without))
        if demo
        else _from_folder_or_hub(source, precision, revision, without)
    )
    if offload == "model":
        pipeline.enable_model_cpu_offload()
    else:
        pipeline.to(target)
    loaded: DiffusionPipeline = pipeline
    return loaded


def _from_folder_or_hub(
    source: str, precision: torch.dtype, revision: str | None, without: Sequence[str]
) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    loader: Any = DiffusionPipeline
    where = {} if revision is None else {"revision": revision}
    with as_model_errors(source):
        wan = str(loader.load_config(source, **where).get("_class_name")).startswith("Wan")
        dtype = {"default": precision, "vae": torch.float32} if wan else precision
        left_out = dict.fromkeys(without)
        loaded = loader.from_pretrained(
            source, dtype=dtype, use_safetensors=True, **where, **left_out
        )
        check_pipeline(loaded, source)
        return loaded


@contextmanager
def as_model_errors(source: str, wanted: str = "model_index.json") -> Iterator[None]:
    """Turn what diffusers and the hub raise while loading into one error with advice."""
    try:
        if Path(source).is_dir():
            check_folder(Path(source))
        yield
    except (SraccelError, MemoryError):
        raise
    except Exception as error:  # a downloaded folder may hold anything
        reason = _reason(error)
        if len(reason) > 400:
            reason = reason[:397] + "..."
        raise ModelError(
            f"cannot load {source}: {reason}\n{_advice(source, wanted, reason)}", model=source
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):  # its advice is to trust the file
        return "the weights are a pickle, not safetensors"
    return " ".join(str(error).split()) or type(error).__name__


def _advice(source: str, wanted: str, reason: str) -> str:
    if "trust_remote_code" in reason:
        return "The model wants to run code of its own, which sraccel never does."
    if "quantiz" in reason.lower():
        return "Leave `quantization_config` out, or see that what it needs is there."
    if "safetensors" in reason:
        return "Only safetensors weights are loaded: convert the model, or use a safetensors copy."
    if Path(source).is_dir() and not (Path(source) / wanted).is_file():
        return (
            f"The folder has no {wanted}: it is not in diffusers' format. Of models that come in "
            "several formats, take the one whose name ends in -Diffusers."
        )
    if Path(source).is_dir():
        return "Is the folder complete? An interrupted download leaves parts out."
    return "Check the name and the connection, or give a local folder in diffusers' format."


def device_of(device: Device, offload: Offload) -> str:
    """The device that `auto` (or a name) stands for.

    Raises:
        ModelError: it is not there, or does not go with offloading.
    """
    import torch

    cuda = torch.cuda.is_available()
    if (device == "cuda" or offload == "model") and not cuda:
        raise ModelError("no CUDA device is usable here: leave out --device cuda and --offload")
    if offload == "model" and device == "cpu":
        raise ModelError("offloading moves parts to a GPU, and --device cpu asks for none")
    return device if device != "auto" else "cuda" if cuda else "cpu"


def precision_of(dtype: DType, device: str) -> torch.dtype:
    """The dtype that `auto` (or a name) stands for on a device."""
    if dtype == "auto":
        return torch_dtype("bfloat16" if device == "cuda" else "float32")
    return torch_dtype(dtype)


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of a name such as `bfloat16`."""
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype
