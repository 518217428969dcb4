"""Which polynomial rescales the change of a model's input to that of its output."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.accelerators.teacache.rule import Variant
from sraccel.plugin import Denoiser, ModelError

if TYPE_CHECKING:
    import torch

OFFICIAL = "TeaCache's official repository, June 2025"
CALIBRATION_FILE = "teacache.json"
"""Coefficients fitted for the weights that this file lies beside."""


@dataclass(frozen=True)
class Coefficients:
    """A polynomial, highest power first, and where it comes from.

    Attributes:
        latent_area: height times width of the latents that it was published for, where models of
            one configuration differ by nothing else.
    """

    values: tuple[float, ...]
    source: str
    latent_area: int | None = None

    def __call__(self, distance: float) -> float:
        """The polynomial's value (Horner's scheme, as `numpy.poly1d` evaluates it)."""
        value = 0.0
        for coefficient in self.values:
            value = value * distance + coefficient
        return value


@dataclass(frozen=True)
class Published:
    """Published coefficients of one model: what its configuration must hold, and both variants."""

    model: str
    config: Mapping[str, object]
    plain: tuple[float, ...]
    retention: tuple[float, ...]
    latent_area: int | None = None

    def coefficients(self, variant: Variant) -> Coefficients:
        """The variant's polynomial."""
        values = self.retention if variant is Variant.RETENTION else self.plain
        return Coefficients(values, f"{self.model}, {variant.value} ({OFFICIAL})", self.latent_area)


_T2V_1_3B = {"num_layers": 30, "num_attention_heads": 12, "ffn_dim": 8960, "in_channels": 16}
_T2V_14B = {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824, "in_channels": 16}
_I2V_14B = {**_T2V_14B, "in_channels": 36, "image_dim": 1280}

# fmt: off
PUBLISHED = (
    Published(
        "Wan2.1 t2v 1.3B", _T2V_1_3B,
        (2.39676752e+03, -1.31110545e+03, 2.01331979e+02, -8.29855975e+00, 1.37887774e-01),
        (-5.21862437e+04, 9.23041404e+03, -5.28275948e+02, 1.36987616e+01, -4.99875664e-02),
    ),
    Published(
        "Wan2.1 t2v 14B", _T2V_14B,
        (-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404),
        (-3.03318725e+05, 4.90537029e+04, -2.65530556e+03, 5.87365115e+01, -3.15583525e-01),
    ),
    Published(
        "Wan2.1 i2v 480P", _I2V_14B,
        (-3.02331670e+02, 2.23948934e+02, -5.25463970e+01, 5.87348440e+00, -2.01973289e-01),
        (2.57151496e+05, -3.54229917e+04, 1.40286849e+03, -1.35890334e+01, 1.32517977e-01),
        latent_area=60 * 104,
    ),
    Published(
        "Wan2.1 i2v 720P", _I2V_14B,
        (-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683),
        (8.10705460e+03, 2.13393892e+03, -3.72934672e+02, 1.66203073e+01, -4.17769401e-02),
        latent_area=90 * 160,
    ),
)
# fmt: on


def candidates(denoiser: Denoiser, variant: Variant) -> list[Coefficients]:
    """Coefficients known for a model: fitted ones beside its weights, else published ones.

    Raises:
        ModelError: there are none.
    """
    fitted = _fitted(denoiser, variant)
    if fitted is not None:
        return [fitted]
    found = [
        entry.coefficients(variant) for entry in PUBLISHED if _has(denoiser.config, entry.config)
    ]
    if found and not _is_wan_2_2(denoiser):
        return found
    what = "Wan2.2's experts share Wan2.1's configuration, but " if found else ""
    raise ModelError(
        f"teacache: {what}no coefficients are known for the {denoiser.role} denoiser "
        f"({denoiser.config.get('_name_or_path') or type(denoiser.module).__name__}); those of "
        f"another model lose most of the gain. Known: {', '.join(e.model for e in PUBLISHED)}. "
        f"Fit your own (degree 4, change of the output over change of the input, from full runs) "
        f"and give them as `coefficients: {{{denoiser.role}: [...]}}`"
    )


def choose(found: list[Coefficients], model_input: torch.Tensor) -> Coefficients:
    """Of models that share a configuration, the one published for latents nearest in size."""
    if len(found) == 1:
        return found[0]
    area = math.prod(model_input.shape[-2:])
    return min(found, key=lambda item: abs(math.log(area / (item.latent_area or area))))


def _has(config: Mapping[str, Any], wanted: Mapping[str, object]) -> bool:
    return all(config.get(key) == value for key, value in wanted.items())


def _is_wan_2_2(denoiser: Denoiser) -> bool:
    """Whether the model is one of a pipeline's two experts."""
    if denoiser.role == "render":
        return False
    return getattr(denoiser.pipeline, "transformer_2", None) is not None


def _fitted(denoiser: Denoiser, variant: Variant) -> Coefficients | None:
    """Coefficients of a calibration file beside the model's weights, or None."""
    location = denoiser.config.get("_name_or_path")
    if not location:
        return None
    for folder in (Path(location), Path(location).parent):
        if (folder / CALIBRATION_FILE).is_file():
            return _from_file(folder / CALIBRATION_FILE, denoiser, variant)
    return None


def _from_file(path: Path, denoiser: Denoiser, variant: Variant) -> Coefficients | None:
    for name, entry in json.loads(path.read_text(encoding="utf-8"))["models"].items():
        if _has(denoiser.config, entry["signature"]):
            fit = entry[variant.value]
            source = f"{name}, {variant.value}, fitted (R^2 {fit['r2']:.2f}, {path.name})"
            return Coefficients(tuple(fit["coefficients"]), source)
    return None
