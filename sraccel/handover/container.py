"""Tensors and JSON in one safetensors file, which says itself whether it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sraccel.errors import HandoverError

if TYPE_CHECKING:
    import torch

KEY = "sraccel-handover"
"""The entry of safetensors' metadata that holds the JSON."""
CHECKSUM = "sha256"
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, in so many bytes."""


def packed(content: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The bytes of a file: nothing in it can run, and nothing depends on where tensors lay."""
    from safetensors.torch import save

    # Cloned: safetensors refuses tensors that share memory, as slices of a history may.
    alone = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(content, sort_keys=True, allow_nan=True)
    checksum = _checksum(text, save(alone))
    return bytes(save(alone, metadata={KEY: text, CHECKSUM: checksum}))


def unpacked(data: bytes, name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What `packed` put in.

    Args:
        data: of the whole file.
        name: what to call it in errors.

    Raises:
        HandoverError: it is torn, changed, or something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    metadata = _metadata(data, name)
    text, recorded = metadata[KEY], metadata.get(CHECKSUM)
    try:
        tensors: dict[str, torch.Tensor] = load(data)
    except SafetensorError as error:
        raise HandoverError(f"{name} is torn ({error}): hand the run over again") from error
    found = _checksum(text, save(tensors))
    if found != recorded:
        raise HandoverError(
            f"{name} is not what was written: its checksum was {str(recorded)[:12]}, and is "
            f"{found[:12]}: hand the run over again",
            differences={CHECKSUM: (recorded, found)},
        )
    content: dict[str, Any] = json.loads(text)
    return content, tensors


def _metadata(data: bytes, name: str) -> dict[str, Any]:
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if len(data) < LENGTH_BYTES + length:
        raise HandoverError(
            f"{name} is torn: it should hold more than {LENGTH_BYTES + length} bytes, and holds "
            f"{len(data)}: hand the run over again"
        )
    try:
        metadata = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])["__metadata__"]
        metadata[KEY]
    except (ValueError, KeyError, TypeError) as error:
        raise HandoverError(
            f"{name} holds no run that was handed over: `sraccel generate --until-switch` writes "
            f"such files"
        ) from error
    found: dict[str, Any] = metadata
    return found


def _checksum(text: str, tensors: bytes) -> str:
    return hashlib.sha256(text.encode() + tensors).hexdigest()
