"""Whether a contributed denoiser can take the place of the pipeline's own."""

from __future__ import annotations

from collections.abc import Mapping

from sraccel.denoiser import Denoiser
from sraccel.errors import ModelError


def check_partners(own: Denoiser, other: Denoiser) -> None:
    """Refuse a denoiser that does not share the loop's latents and conditioning.

    Raises:
        ModelError: listing what differs, side by side.
    """
    differing = _differing(_facts(own), _facts(other))
    if differing:
        rows = "".join(
            f"\n  {key}: {ours!r} ({own.role}), {theirs!r} ({other.role})"
            for key, (ours, theirs) in differing.items()
        )
        raise ModelError(
            f"the {other.role} model does not fit the {own.role} model; they differ in{rows}\n"
            f"take a model of the same family with the same latent space and text encoder"
        )


def _facts(denoiser: Denoiser) -> Mapping[str, object]:
    return {"family": denoiser.family, **denoiser.adapter.interface(denoiser.module)}


def _differing(
    ours: Mapping[str, object], theirs: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    return {
        key: (ours.get(key), theirs.get(key))
        for key in {**ours, **theirs}
        if ours.get(key) != theirs.get(key)
    }
