"""Values as JSON holds them; of what it cannot hold, what tells it from others."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any

DIGITS = 12
"""Of the checksum of a tensor or a picture."""


def plain(value: Any) -> Any:
    """A value as JSON holds it: `<Tensor 1x3x8x8 float32 761136e30319>` for a tensor."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return str(value) if isinstance(value, PurePath) else _told(value)


def _told(value: Any) -> str:
    """Numbers and pictures by a checksum, other objects by their class."""
    import torch

    if inspect.isclass(value):
        return value.__name__
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    with suppress(Exception):  # a tensor may be without numbers, an image's file be gone
        if (content := _content(value)) is not None:
            kind, numbers = content
            return f"<{kind} {hashlib.sha256(numbers).hexdigest()[:DIGITS]}>"
    return f"<{type(value).__name__}>"


def _content(value: Any) -> tuple[str, bytes | memoryview] | None:
    """Kind and bytes of a tensor, an array or an image; None for anything else."""
    import numpy as np
    import torch
    from PIL import Image

    if isinstance(value, torch.Tensor):
        numbers = value.detach().resolve_conj().resolve_neg().cpu().contiguous().flatten()
        dtype = str(value.dtype).removeprefix("torch.")
        kind = f"{type(value).__name__} {_size(value.shape)} {dtype}"
        return kind, numbers.view(torch.uint8).numpy().data
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        return f"{type(value).__name__} {_size(value.shape)} {value.dtype}", value.tobytes()
    if isinstance(value, Image.Image):  # whatever kind of file it came from
        pixels = value.tobytes() + bytes(value.getpalette() or [])
        return f"Image {_size(value.size)} {value.mode}", pixels
    return None


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
