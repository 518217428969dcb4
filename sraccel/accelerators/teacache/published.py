"""Published coefficients, and which models they are of.

Unless an entry names another source, the values are those of TeaCache's official repository
(ali-vilab/TeaCache, June 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sraccel.accelerators.teacache.calibration_file import num_experts
from sraccel.accelerators.teacache.rule import Variant
from sraccel.plugin import Denoiser

SOURCE = "TeaCache's official repository, June 2025"


@dataclass(frozen=True)
class Published:
    """Coefficients of one model, and what its configuration must hold.

    Attributes:
        model: its name; a recipe may give it as `coefficients`.
        family: of the model's adapter.
        config: keys and values of the configuration that distinguish it from others of the family.
        plain: coefficients, highest power first.
        retention: those of the retention variant, where there are any.
        latent_area: height times width of the latents, where models of one configuration differ by
            nothing else.
        hint: part of the model's name that distinguishes such models.
        source: who published them.
    """

    model: str
    family: str
    config: Mapping[str, object]
    plain: tuple[float, ...]
    retention: tuple[float, ...] | None = None
    latent_area: int | None = None
    hint: str | None = None
    source: str = SOURCE

    def values(self, variant: Variant) -> tuple[float, ...] | None:
        """The variant's coefficients; None: nobody published any."""
        return self.retention if variant is Variant.RETENTION else self.plain

    def differences(self, config: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
        """Keys whose value is another one: (in `config`, published)."""
        return {
            key: (config.get(key), value)
            for key, value in self.config.items()
            if config.get(key) != value
        }


@dataclass(frozen=True)
class Lookalike:
    """A model that shares a published one's configuration, and what gives it away."""

    model: str
    family: str
    is_meant: Callable[[Denoiser], bool]


def _wan(layers: int, heads: int, ffn: int, **config: object) -> dict[str, object]:
    return {"num_layers": layers, "num_attention_heads": heads, "ffn_dim": ffn, **config}


def _cogvideox(layers: int, heads: int, channels: int, **config: object) -> dict[str, object]:
    return {
        "num_layers": layers,
        "num_attention_heads": heads,
        "in_channels": channels,
        "patch_size_t": None,
        **config,
    }


def _cosmos(channels: int, layers: int, heads: int) -> dict[str, object]:
    return {
        "in_channels": channels,
        "num_layers": layers,
        "num_attention_heads": heads,
        "extra_pos_embed_type": "learnable",  # Cosmos 2 has none
    }


_WAN_T2V = {"in_channels": 16, "image_dim": None}
_WAN_I2V = {"in_channels": 36, "image_dim": 1280, "pos_embed_seq_len": None}
_COGVIDEOX_5B = (
    -1.53880483e03, 8.43202495e02, -1.34363087e02, 7.97131516e00, -5.23162339e-02,
)  # fmt: skip
_HUNYUAN_VIDEO = (
    7.33226126e02, -4.01131952e02, 6.75869174e01, -3.14987800e00, 9.61237896e-02,
)  # fmt: skip
_COSMOS = (2.71156237e02, -9.19775607e01, 2.24437250e00, 2.08355751e00, 1.41776330e-01)

# fmt: off
PUBLISHED = (
    Published(
        "Wan2.1 t2v 1.3B", "wan", _wan(30, 12, 8960, **_WAN_T2V),
        (2.39676752e+03, -1.31110545e+03, 2.01331979e+02, -8.29855975e+00, 1.37887774e-01),
        (-5.21862437e+04, 9.23041404e+03, -5.28275948e+02, 1.36987616e+01, -4.99875664e-02),
    ),
    Published(
        "Wan2.1 t2v 14B", "wan", _wan(40, 40, 13824, **_WAN_T2V),
        (-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404),
        (-3.03318725e+05, 4.90537029e+04, -2.65530556e+03, 5.87365115e+01, -3.15583525e-01),
    ),
    Published(
        "Wan2.1 i2v 480P", "wan", _wan(40, 40, 13824, **_WAN_I2V),
        (-3.02331670e+02, 2.23948934e+02, -5.25463970e+01, 5.87348440e+00, -2.01973289e-01),
        (2.57151496e+05, -3.54229917e+04, 1.40286849e+03, -1.35890334e+01, 1.32517977e-01),
        latent_area=60 * 104, hint="480p",
    ),
    Published(
        "Wan2.1 i2v 720P", "wan", _wan(40, 40, 13824, **_WAN_I2V),
        (-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683),
        (8.10705460e+03, 2.13393892e+03, -3.72934672e+02, 1.66203073e+01, -4.17769401e-02),
        latent_area=90 * 160, hint="720p",
    ),
    Published(
        "CogVideoX-2b", "cogvideox", _cogvideox(30, 30, 16),
        (-3.10658903e+01, 2.54732368e+01, -5.92380459e+00, 1.75769064e+00, -3.61568434e-03),
    ),
    Published("CogVideoX-5b", "cogvideox", _cogvideox(42, 48, 16), _COGVIDEOX_5B),
    Published("CogVideoX-5b-I2V", "cogvideox", _cogvideox(42, 48, 32), _COGVIDEOX_5B),
    Published(
        "CogVideoX1.5-5B", "cogvideox", _cogvideox(42, 48, 16, patch_size_t=2),
        (2.50210439e+02, -1.65061612e+02, 3.57804877e+01, -7.81551492e-01, 3.58559703e-02),
    ),
    Published(
        "CogVideoX1.5-5B-I2V", "cogvideox", _cogvideox(42, 48, 32, patch_size_t=2),
        (1.22842302e+02, -1.04088754e+02, 2.62981677e+01, -3.06009921e-01, 3.71213220e-02),
    ),
    Published(
        "HunyuanVideo", "hunyuan-video",
        {"num_layers": 20, "num_single_layers": 40, "in_channels": 16,
         "image_condition_type": None, "guidance_embeds": True},
        _HUNYUAN_VIDEO,
    ),
    Published(
        "FramePack", "framepack", {"num_layers": 20, "num_single_layers": 40, "in_channels": 16},
        _HUNYUAN_VIDEO,
        source="FramePack's official repository, which takes HunyuanVideo's",
    ),
    Published(
        "Flux.1 dev", "flux",
        {"num_layers": 19, "num_single_layers": 38, "in_channels": 64, "guidance_embeds": True},
        (4.98651651e+02, -2.83781631e+02, 5.58554382e+01, -3.82021401e+00, 2.64230861e-01),
    ),
    Published(
        "Mochi", "mochi", {"num_layers": 48, "num_attention_heads": 24},
        (-3.51241319e+03, 8.11675948e+02, -6.09400215e+01, 2.42429681e+00, 3.05291719e-03),
    ),
    Published(
        "LTX-Video 2B", "ltx",
        {"num_layers": 28, "num_attention_heads": 32, "attention_head_dim": 64},
        (2.14700694e+01, -1.28016453e+01, 2.31279151e+00, 7.92487521e-01, 9.69274326e-03),
    ),
    Published(
        "Lumina 2", "lumina2", {"num_layers": 26, "hidden_size": 2304},
        (393.76566581, -603.50993606, 209.10239044, -23.00726601, 0.86377344),
    ),
    Published("Cosmos 1.0 7B t2w", "cosmos", _cosmos(16, 28, 32), _COSMOS),
    Published("Cosmos 1.0 7B v2w", "cosmos", _cosmos(17, 28, 32), _COSMOS),
    Published("Cosmos 1.0 14B t2w", "cosmos", _cosmos(16, 36, 40), _COSMOS),
    Published("Cosmos 1.0 14B v2w", "cosmos", _cosmos(17, 36, 40), _COSMOS),
    Published(
        "HiDream-I1 Full", "hidream", {"num_layers": 16, "num_single_layers": 32},
        (-3.13605009e+04, -7.12425503e+02, 4.91363285e+01, 8.26515490e+00, 1.08053901e-01),
    ),
)
# fmt: on


def _has_two_experts(denoiser: Denoiser) -> bool:
    named = any(mark in _name(denoiser) for mark in ("wan2.2", "wan2_2"))
    return named or num_experts(denoiser) > 1


def _is_kontext(denoiser: Denoiser) -> bool:
    return "kontext" in _name(denoiser) or "Kontext" in type(denoiser.pipeline).__name__


def _is_distilled_hidream(denoiser: Denoiser) -> bool:
    """Dev and Fast are sampled with an LCM scheduler, Full is not."""
    scheduler = type(getattr(denoiser.pipeline, "scheduler", None)).__name__
    return "LCM" in scheduler or any(
        mark in _name(denoiser) for mark in ("hidream-i1-dev", "hidream-i1-fast")
    )


LOOKALIKES = (
    Lookalike("Wan2.2's experts", "wan", _has_two_experts),
    Lookalike("Flux.1 Kontext", "flux", _is_kontext),
    Lookalike("HiDream-I1 Dev and Fast", "hidream", _is_distilled_hidream),
)
"""Models without published coefficients that have a published model's configuration."""


def of_family(family: str) -> Iterator[Published]:
    """What is published for a family."""
    return (entry for entry in PUBLISHED if entry.family == family)


def lookalike(denoiser: Denoiser) -> Lookalike | None:
    """What the denoiser really is, where its configuration is a published model's."""
    for other in LOOKALIKES:
        if other.family == denoiser.family and other.is_meant(denoiser):
            return other
    return None


def matching(denoiser: Denoiser) -> list[Published]:
    """What is published for a denoiser: several, where only its latents' size decides."""
    found = [
        entry for entry in of_family(denoiser.family) if not entry.differences(denoiser.config)
    ]
    hinted = [entry for entry in found if entry.hint and entry.hint in _name(denoiser)]
    return hinted or found


def _name(denoiser: Denoiser) -> str:
    return str(denoiser.config.get("_name_or_path") or "").lower()
