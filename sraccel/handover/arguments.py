"""The arguments of a pipeline's call, as far as both halves of a run must agree on them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sraccel.errors import HandoverError
from sraccel.models.arguments import defaults_of

OUTPUT_ONLY = {"output_type", "return_dict", "callback_on_step_end_tensor_inputs"}
"""Arguments that concern what becomes of the finished latents, and each half by itself."""


def generators_of(call: Mapping[str, Any]) -> list[Any]:
    """The call's generators.

    Raises:
        HandoverError: it has none, so that its noise could not be gone on with.
    """
    given = call.get("generator")
    if given is None:
        raise HandoverError(
            "a run that is handed over needs a `generator`: give torch.Generator().manual_seed(...)"
        )
    return list(given) if isinstance(given, list) else [given]


def effective(pipe: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are plain values, defaults included."""
    arguments = {**defaults_of(pipe), **call}
    return {
        name: value
        for name, value in arguments.items()
        if name not in OUTPUT_ONLY and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def references_of(call: Mapping[str, Any]) -> dict[str, str]:
    """Checksums of the arguments that are tensors (embeddings, say)."""
    import torch

    return {
        name: _checksum(value) for name, value in call.items() if isinstance(value, torch.Tensor)
    }


def _checksum(tensor: Any) -> str:
    import torch

    numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return hashlib.sha256(f"{tuple(tensor.shape)}".encode() + numbers.numpy().tobytes()).hexdigest()
