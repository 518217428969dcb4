"""Whether a loaded model got all of its weights: diffusers goes on without missing ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

NAMED = 3
"""Missing tensors that an error names."""


def check_complete(module: nn.Module, what: str, folder: Path | None = None) -> None:
    """Refuse a model that lacks weights; it would fail later, or make noise.

    Args:
        module: as it was loaded.
        what: it is, for the message.
        folder: of its safetensors files, if they are on this machine; without, only weights that
            were left on the meta device are found.

    Raises:
        ModelError: naming some of what is missing.
    """
    held = {*dict(module.named_parameters()), *dict(module.named_buffers())}
    missing = {name for name, weight in module.named_parameters() if weight.is_meta}
    if folder is not None and getattr(module, "hf_quantizer", None) is None:
        stored = _stored(folder)
        expected = held & module.state_dict().keys()
        missing |= expected - stored if stored else set()
    if missing:
        shown = ", ".join(sorted(missing)[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise ModelError(
            f"the weights of {what} are not complete: {shown}{more} of {len(held)} tensors are "
            "missing. An interrupted download or conversion leaves parts out: get the files again",
            model=what,
        )


def check_pipeline(pipeline: Any, source: str) -> None:
    """The same of a pipeline's denoisers, and of what its other models left on the meta device."""
    for name, part in getattr(pipeline, "components", {}).items():
        if hasattr(part, "named_parameters"):
            denoiser = name.startswith(("transformer", "unet"))
            folder = Path(source) / name
            known = folder if denoiser and folder.is_dir() else None
            check_complete(part, f"{source} ({name})", known)


def _stored(folder: Path) -> set[str]:
    """Names of the tensors in a folder's safetensors files; reads their headers alone."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            names.update(file.keys())
    return names
