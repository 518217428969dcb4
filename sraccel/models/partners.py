"""Whether a contributed denoiser can take the place of the pipeline's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sraccel.errors import ModelError
from sraccel.text import shortened

if TYPE_CHECKING:
    from sraccel.loop.denoiser import Denoiser
    from sraccel.noise.space import NoiseSpace

VAE_FACTS = (
    "_class_name",
    "z_dim",
    "latent_channels",
    "shift_factor",
    "latents_mean",
    "latents_std",
    "scale_factor_spatial",
    "scale_factor_temporal",
    "block_out_channels",
    "dim_mult",
    "temperal_downsample",
    "temporal_compression_ratio",
    "spatio_temporal_scaling",
    "layers_per_block",
    "patch_size",
    "patch_size_t",
    "downsample_type",
    "timestep_conditioning",
)
"""What of a VAE's configuration decides what its latents mean.

Not the `scaling_factor`: the change of variables takes care of that. LTX-Video's versions share
class and channels, and differ in the rest.
"""

CONTROLS = ("controlnet", "adapter")
"""Components of a pipeline whose output goes into its denoiser's blocks."""

VaeConfig = Mapping[str, Any] | None


def check_partners(
    own: Denoiser, other: Denoiser, own_vae: VaeConfig = None, other_vae: VaeConfig = None
) -> None:
    """Refuse a denoiser that does not share the loop's latents and conditioning.

    Args:
        own: the pipeline's denoiser.
        other: the one that is to take its place.
        own_vae: configuration of the VAE that the first was trained with; None: not known.
        other_vae: the same of the second.

    Raises:
        ModelError: listing what differs, side by side.
    """
    ours, theirs = _facts(own), _facts(other)
    if own_vae is not None and other_vae is not None:
        ours |= {f"VAE {key.lstrip('_')}": _plain(own_vae.get(key)) for key in VAE_FACTS}
        theirs |= {f"VAE {key.lstrip('_')}": _plain(other_vae.get(key)) for key in VAE_FACTS}
    _refuse_differences(
        own.role,
        ours,
        other.role,
        theirs,
        "take a model of the same family with the same latent space and text encoder; for another "
        "VAE there is sraccel.handoff(sketch_pipe, render_pipe, ...)",
    )
    own.adapter.check_sibling(own.module, other.module)
    for name in CONTROLS:
        if (control := getattr(own.pipeline, name, None)) is not None:
            own.adapter.check_control(control, other.module)
    _check_noise_spaces(own, other)


def _check_noise_spaces(own: Denoiser, other: Denoiser) -> None:
    """Refuse noise spaces that differ where the change of variables is not defined."""
    if own.noise_space is None or other.noise_space is None or own.noise_space == other.noise_space:
        return
    facts = own.adapter.interface(own.module)
    same_channels = facts.get("in_channels") == facts.get("out_channels")
    adapter = own.adapter
    if same_channels and adapter.predicts_for_scheduler and adapter.one_scheduler:
        return
    _refuse_differences(
        own.role,
        _noise_facts(own.noise_space),
        other.role,
        _noise_facts(other.noise_space),
        "the change of variables is not defined for this family: its input holds conditioning "
        "channels beside the noisy latents, its prediction is not what its scheduler takes, or it "
        "is one of two",
    )


def _noise_facts(space: NoiseSpace) -> dict[str, object]:
    """A noise space side by side with another; schedules of one kind may differ in levels alone."""
    schedule = space.schedule
    noise = [round(schedule.levels(timestep)[1], 3) for timestep in (100, 300, 500, 700, 900)]
    return {**space.describe(), "noise at timesteps 100, 300, ... 900": noise}


def _refuse_differences(
    our_name: str,
    ours: Mapping[str, object],
    their_name: str,
    theirs: Mapping[str, object],
    advice: str,
) -> None:
    differing = {
        key: (ours.get(key), theirs.get(key))
        for key in {**ours, **theirs}
        if ours.get(key) != theirs.get(key)
    }
    if differing:
        rows = "".join(
            f"\n  {key}: {shortened(repr(one))} ({our_name}), "
            f"{shortened(repr(other))} ({their_name})"
            for key, (one, other) in differing.items()
        )
        raise ModelError(
            f"the models do not fit each other; they differ in{rows}\n{advice}",
            differences=differing,
        )


def _facts(denoiser: Denoiser) -> dict[str, object]:
    interface = denoiser.adapter.interface(denoiser.module)
    return {"family": denoiser.family, **{key: _plain(interface[key]) for key in interface}}


def _plain(value: object) -> object:
    """A list for a tuple: a file's JSON knows no other."""
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
