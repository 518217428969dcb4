"""The file of fitted coefficients that `sraccel calibrate teacache` writes and recipes name.

Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PrivateAttr, ValidationError

from sraccel.accelerators.teacache.rule import COEFFICIENT_COUNT, Variant
from sraccel.plugin import Denoiser, ModelError, plain_complaint, read_text, replacing, shortened

SCHEMA_VERSION = 1
NOT_OF_THE_MODEL = frozenset({"quantization_config"})
"""Keys of a configuration that say how the weights are stored, not what the model computes."""
MODEL_OUTPUT = "model output"
CALIBRATE = "sraccel calibrate teacache --model MODEL --prompts FILE -o coefficients.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ThresholdRow(_Strict):
    """What a threshold is expected to skip.

    Attributes:
        threshold: as TeaCache's option takes it.
        skipped: share of the denoiser's steps, from 0 to 1, by the rule on the recorded runs.
    """

    threshold: float
    skipped: float


class SchedulerFacts(_Strict):
    """The scheduler that the runs were made with: the noise levels decide the distances."""

    class_name: str
    config: dict[str, Any] = Field(default_factory=dict)


class CalibrationEntry(_Strict):
    """Coefficients of one denoiser, in one variant, and how they came about.

    Attributes:
        role: of the denoiser: `transformer`, `transformer_2` or `render`.
        family: name of the adapter's family.
        class_name: of the model.
        signature: its configuration; see `signature_of`.
        weights: checksum of some of its weights, in the precision of `dtype`; None: not known.
        num_experts: denoisers that share the pipeline's steps: 2 for Wan 2.2, else 1.
        variant: `plain` or `retention`.
        coefficients: of the polynomial, highest power first.
        target: what the polynomial predicts the change of.
        r2: share of the variance that it explains, on the points that it was fitted to.
        r2_held_out: the same on prompts left out of the fit; None: not known.
        error: mean absolute error of the relative L1 distance, on the points of the fit.
        error_held_out: the same on prompts left out.
        x_range: least and greatest distance of the modulated input; beyond, what the polynomial
            says at the end grows in proportion.
        num_points: pairs of distances that were fitted.
        thresholds: what to expect of some thresholds.
        changes: distance of the modulated input to the step before, at each step of a run; the
            mean over the runs. None: no run had a step before.
        scheduler: None: not known.
        num_inference_steps: steps of the runs, each number once.
        prompts: their texts.
        seeds: of the noise; each with each prompt.
        size: `height`, `width`, `num_frames`, as the pipeline's call takes them.
        latent_shape: of the model's input, batch and channels included.
        guidance_scale: as the pipeline's call takes it.
        dtype: of the model's weights.
        versions: of sraccel, torch and diffusers.
        date: ISO 8601.
        warnings: what was said of the fit.
        comment: anything else.
    """

    role: str
    family: str
    class_name: str
    signature: dict[str, Any]
    weights: str | None = None
    num_experts: int = 1
    variant: Literal["plain", "retention"]
    coefficients: Annotated[
        list[FiniteFloat], Field(min_length=COEFFICIENT_COUNT, max_length=COEFFICIENT_COUNT)
    ]
    target: str = MODEL_OUTPUT
    r2: float
    r2_held_out: float | None = None
    error: float | None = None
    error_held_out: float | None = None
    x_range: tuple[float, float]
    num_points: int
    thresholds: list[ThresholdRow] = []
    changes: list[float | None] = []
    scheduler: SchedulerFacts | None = None
    num_inference_steps: list[int] = []
    prompts: list[str] = []
    seeds: list[int] = []
    size: dict[str, int] = {}
    latent_shape: list[int] = []
    guidance_scale: float | None = None
    dtype: str | None = None
    versions: dict[str, str] = {}
    date: str | None = None
    warnings: list[str] = []
    comment: str | None = None

    @property
    def name(self) -> str:
        """Key of the entry: the role, and the variant where it is not the plain one."""
        return self.role if self.variant == "plain" else f"{self.role}-{self.variant}"


class CalibrationFile(_Strict):
    """Fitted coefficients of one or more denoisers, by `CalibrationEntry.name`."""

    schema_version: Literal[1] = 1
    models: dict[str, CalibrationEntry] = {}
    _source: str = PrivateAttr("the calibration file")

    @property
    def source(self) -> str:
        """The file's name, for messages and reports."""
        return self._source

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            ModelError: it is missing, malformed, or of another version of sraccel.
        """
        path = Path(path).expanduser()
        content = _json(path)
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ModelError(
                f"{path} has schema_version {version!r}, this sraccel reads {SCHEMA_VERSION}: "
                f"is it a calibration file? If so, calibrate again"
            )
        try:
            file = cls.model_validate(content)
        except ValidationError as error:
            raise ModelError(
                f"{path} is not a calibration file:{_problems(error)}\ncalibrate again"
            ) from None
        file._source = path.name
        return file

    def save(self, path: str | Path) -> Path:
        """Write the file as JSON, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return Path(path)


def _json(path: Path) -> dict[str, Any]:
    advice = "give the file that `sraccel calibrate teacache` wrote"
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; {advice}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a calibration file; {advice}")
    return content


def _problems(error: ValidationError) -> str:
    return "".join(
        f"\n  {'.'.join(map(str, item['loc']))}: {plain_complaint(item['msg'])}"
        for item in error.errors()
    )


def signature_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without private keys and paths, as JSON gives it back (lists for tuples)."""
    kept = {
        key: value
        for key, value in config.items()
        if not key.startswith("_") and key not in NOT_OF_THE_MODEL
    }
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def num_experts(denoiser: Denoiser) -> int:
    """How many denoisers share the steps of the pipeline that a denoiser belongs to."""
    second = getattr(denoiser.pipeline, "transformer_2", None)
    return 2 if second is not None and denoiser.role != "render" else 1


def entry_for(file: CalibrationFile, denoiser: Denoiser, variant: Variant) -> CalibrationEntry:
    """The entry of a file that was fitted for this denoiser, in this variant.

    The model decides, not its role: what was calibrated alone may render here.
    Only two experts, which share a configuration, are distinguished by their role.

    Raises:
        ModelError: the file has none, naming what differs, both values.
    """
    fitting = [entry for entry in file.models.values() if not differences(entry, denoiser)]
    found = [entry for entry in fitting if entry.variant == variant.value]
    if found:
        return min(found, key=lambda entry: entry.role != denoiser.role)
    if fitting:
        wanted = "true" if fitting[0].variant == "retention" else "false"
        raise ModelError(
            f"teacache: {file.source} holds the {fitting[0].variant} variant of the "
            f"denoiser {denoiser.role!r}, and the recipe asks for the {variant.value} one: set "
            f"`retention: {wanted}`, or calibrate the other variant (its runs are the same)"
        )
    raise ModelError(_not_of(file, denoiser))


def _not_of(file: CalibrationFile, denoiser: Denoiser) -> str:
    """Compare with the entry that comes nearest."""
    if not file.models:
        return f"teacache: {file.source} holds no coefficients; calibrate this one: {CALIBRATE}"
    nearest = min(
        file.models.values(),
        key=lambda entry: (entry.role != denoiser.role, len(differences(entry, denoiser))),
    )
    rows = "".join(
        f"\n  {key}: {shortened(repr(theirs))} (file, {nearest.name}), "
        f"{shortened(repr(ours))} (model)"
        for key, theirs, ours in differences(nearest, denoiser)
    )
    return (
        f"teacache: {file.source} was not made for the denoiser {denoiser.role!r}; they differ in"
        f"{rows}\ncalibrate this one: {CALIBRATE}"
    )


def differences(entry: CalibrationEntry, denoiser: Denoiser) -> list[tuple[str, object, object]]:
    """How the entry's model differs from this one: (name, the entry's value, the model's)."""
    facts: dict[str, tuple[object, object]] = {
        "family": (entry.family, denoiser.family),
        "class": (entry.class_name, type(denoiser.module).__name__),
        "experts": (entry.num_experts, num_experts(denoiser)),
    }
    if 1 < entry.num_experts == num_experts(denoiser):
        facts["role"] = (entry.role, denoiser.role)
    ours = signature_of(denoiser.config)
    # A key that one side lacks says nothing: other versions of diffusers add arguments.
    for key, value in entry.signature.items():
        if key in ours:
            facts[key] = (value, ours[key])
    return [(key, theirs, own) for key, (theirs, own) in facts.items() if theirs != own]
