"""Which polynomial rescales the change of a model's input to that of its output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sraccel.accelerators.teacache.calibration_file import (
    CALIBRATE,
    CalibrationEntry,
    CalibrationFile,
    entry_for,
)
from sraccel.accelerators.teacache.published import (
    PUBLISHED,
    Published,
    lookalike,
    matching,
    of_family,
)
from sraccel.accelerators.teacache.rule import Variant
from sraccel.plugin import Denoiser, ModelError, weights_checksum

if TYPE_CHECKING:
    import torch

CALIBRATION_FILE = "teacache.json"
"""Coefficients fitted for the weights that this file lies beside."""
SAME_SIZE = 1.25
"""Latents within this factor of the published size are taken to be of that size."""


@dataclass(frozen=True)
class Coefficients:
    """A polynomial, highest power first, and where it comes from.

    Attributes:
        latent_area: height times width of the latents that it was published for, where models of
            one configuration differ by nothing else.
        caveat: what a user should know before trusting them.
        entry: of the calibration file that they were read from, if any.
        model: whose they were published for; empty: nobody's.
        retention: whether they are of the retention variant.
    """

    values: tuple[float, ...]
    source: str
    latent_area: int | None = None
    caveat: str = ""
    entry: CalibrationEntry | None = field(default=None, repr=False, compare=False)
    model: str = field(default="", repr=False, compare=False)
    retention: bool = field(default=False, repr=False, compare=False)

    def __call__(self, distance: float) -> float:
        """The rescaled distance.

        The polynomial's own value, as published thresholds were chosen with, wherever it is
        published or given. A fitted one has a range: runs of fewer steps than it was fitted on
        lie beyond, where it soon turns negative and would skip everything, so there the value at
        the end of the range grows in proportion.
        """
        if self.entry is None:
            return self._polynomial(distance)
        low, high = self.entry.x_range
        known = min(max(distance, low), high)
        value = self._polynomial(known)
        return value if known == distance else value * distance / known

    def _polynomial(self, distance: float) -> float:
        """Horner's scheme, as `numpy.poly1d` evaluates it."""
        value = 0.0
        for coefficient in self.values:
            value = value * distance + coefficient
        return value


def known(denoiser: Denoiser, variant: Variant) -> list[Coefficients]:
    """Coefficients of a model: fitted ones beside its weights, else published ones.

    Several, where only the size of the latents decides which: see `choose`.

    Raises:
        ModelError: there are none.
    """
    refused: ModelError | None = None
    for beside in denoiser.beside_its_weights(CALIBRATION_FILE):
        try:
            return [fitted(beside, denoiser, variant)]
        except ModelError as error:  # it may be of another model that lies there
            refused = error
    found = matching(denoiser)
    other = lookalike(denoiser) if found else None
    if refused is not None and (other is not None or not found):
        raise refused
    if other is not None:
        raise _unknown(denoiser, f"it is one of {other.model}, which share a configuration with")
    if not found:
        raise _unknown(denoiser, "none are published; there are some for")
    return [_published(entry, denoiser, variant) for entry in found]


def named(name: str, denoiser: Denoiser, variant: Variant) -> Coefficients:
    """The coefficients published under a name, if they are of this model.

    Raises:
        ModelError: they are another model's, or the variant has none.
    """
    entry = next(entry for entry in PUBLISHED if entry.model == name)
    if entry.family != denoiser.family:
        differs = f"its family is {denoiser.family!r} (published: {entry.family!r})"
    else:
        pairs = entry.differences(denoiser.config).items()
        differs = ", ".join(
            f"{key} is {own!r} (published: {theirs!r})" for key, (own, theirs) in pairs
        )
    other = lookalike(denoiser)
    if not differs and other is not None:
        differs = f"it is one of {other.model}, which share the configuration"
    if not differs and entry not in matching(denoiser):
        differs = f"its name says {', '.join(item.model for item in matching(denoiser))}"
    if differs:
        raise ModelError(
            f"teacache: the recipe names the coefficients of {name}, but the denoiser "
            f"{denoiser.role!r} is another model: {differs}. Take `coefficients: auto`, or fit "
            f"your own: {CALIBRATE}"
        )
    return _published(entry, denoiser, variant)


def choose(found: Sequence[Coefficients], model_input: torch.Tensor) -> Coefficients:
    """Of models that share a configuration, the one published for latents of this size.

    Raises:
        ModelError: the size lies between those that were published.
    """
    if len(found) == 1:
        return found[0]
    area = math.prod(model_input.shape[-2:])
    by_size = sorted(found, key=lambda item: item.latent_area or 0)
    if area <= (by_size[0].latent_area or 0) * SAME_SIZE:
        return by_size[0]
    for item in by_size:
        if item.latent_area and max(area / item.latent_area, item.latent_area / area) <= SAME_SIZE:
            return item
    if area >= (by_size[-1].latent_area or 0):
        return by_size[-1]
    names = " or ".join(f"`{item.source.partition(',')[0]}`" for item in by_size)
    raise ModelError(
        f"teacache: models of this configuration differ by the size they are for, and latents of "
        f"{model_input.shape[-2]} x {model_input.shape[-1]} lie between: say which it is by "
        f"`coefficients:` {names}"
    )


def _unknown(denoiser: Denoiser, why: str) -> ModelError:
    """The error for a model without coefficients; `why` ends before the candidates."""
    candidates = [entry.model for entry in of_family(denoiser.family)] or sorted(
        {entry.family for entry in PUBLISHED}
    )
    name = denoiser.config.get("_name_or_path") or type(denoiser.module).__name__
    return ModelError(
        f"teacache: no coefficients are known for the denoiser {denoiser.role!r} ({name}): {why} "
        f"{', '.join(candidates)}. Another model's lose most of the gain. Fit your own: "
        f"{CALIBRATE}; then give `coefficients: coefficients.json`"
    )


def _published(entry: Published, denoiser: Denoiser, variant: Variant) -> Coefficients:
    values = entry.values(variant)
    if values is None:
        raise _unknown(denoiser, f"the {variant.value} variant has none published for")
    return Coefficients(
        values,
        f"{entry.model}, {variant.value} ({entry.source})",
        entry.latent_area,
        model=entry.model,
        retention=variant is Variant.RETENTION,
    )


def fitted(path: Path, denoiser: Denoiser, variant: Variant) -> Coefficients:
    """The coefficients of a calibration file, if they are of this model and variant.

    Raises:
        ModelError: they are not, or the file cannot be read.
    """
    entry = entry_for(CalibrationFile.load(path), denoiser, variant)
    quality = f"R^2 {entry.r2 if entry.r2_held_out is None else entry.r2_held_out:.2f}"
    return Coefficients(
        tuple(entry.coefficients),
        f"{entry.role}, {entry.variant}, fitted ({quality}, {path.name})",
        caveat=_caveat(entry, denoiser, path),
        entry=entry,
    )


def _caveat(entry: CalibrationEntry, denoiser: Denoiser, path: Path) -> str:
    """A configuration does not tell a fine-tune, or Wan's 480P from its 720P: the weights do."""
    same_precision = entry.dtype == denoiser.describe()["dtype"]
    ours = weights_checksum(denoiser.module) if entry.weights and same_precision else None
    if ours is None or ours == entry.weights:
        return ""
    return (
        f"teacache: {path.name} was fitted on other weights than those of {denoiser.role!r}, "
        f"though of the same configuration: if it is another model, calibrate that"
    )
