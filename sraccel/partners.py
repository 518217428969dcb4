"""Whether a contributed denoiser can take the place of the pipeline's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sraccel.denoiser import Denoiser
from sraccel.errors import ModelError

VAE_FACTS = (
    "_class_name",
    "z_dim",
    "latent_channels",
    "scaling_factor",
    "shift_factor",
    "latents_mean",
    "latents_std",
    "scale_factor_spatial",
    "scale_factor_temporal",
)
"""What of a VAE's configuration decides what its latents mean."""


def check_partners(own: Denoiser, other: Denoiser) -> None:
    """Refuse a denoiser that does not share the loop's latents and conditioning.

    Raises:
        ModelError: listing what differs, side by side.
    """
    _refuse(own.role, _facts(own), other.role, _facts(other))


def check_same_vae(own: Mapping[str, Any], other: Mapping[str, Any], other_role: str) -> None:
    """Refuse a partner whose latents mean something else than the pipeline's.

    Args:
        own: configuration of the pipeline's VAE.
        other: configuration of the VAE that the partner was trained with.
        other_role: the partner's role, for the message.

    Raises:
        ModelError: listing what differs, side by side.
    """
    facts = [{key: config.get(key) for key in VAE_FACTS} for config in (own, other)]
    _refuse("the pipeline's VAE", facts[0], f"the {other_role} model's VAE", facts[1])


def _refuse(
    our_name: str, ours: Mapping[str, object], their_name: str, theirs: Mapping[str, object]
) -> None:
    differing = {
        key: (ours.get(key), theirs.get(key))
        for key in {**ours, **theirs}
        if ours.get(key) != theirs.get(key)
    }
    if differing:
        rows = "".join(
            f"\n  {key}: {_short(one)} ({our_name}), {_short(other)} ({their_name})"
            for key, (one, other) in differing.items()
        )
        raise ModelError(
            f"the models do not fit each other; they differ in{rows}\n"
            f"take a model of the same family with the same latent space and text encoder"
        )


def _facts(denoiser: Denoiser) -> Mapping[str, object]:
    return {"family": denoiser.family, **denoiser.adapter.interface(denoiser.module)}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
