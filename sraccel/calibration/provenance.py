"""How a calibration came about: the part that the files of all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from sraccel.files import replacing
from sraccel.models.checksum import weights_checksum

if TYPE_CHECKING:
    from sraccel.calibration.recording import Setup
    from sraccel.calibration.trajectory import Trajectory
    from sraccel.loop.denoiser import Denoiser


class Provenance(BaseModel):
    """Of one model's calibration.

    Attributes:
        class_name: of the model.
        weights: checksum of some of its weights, in the precision of `dtype`.
        dtype: of the model's weights.
        scheduler: name of its class.
        flow_shift: of the scheduler, where it has one.
        sigmas: noise levels of the grid, falling, in the scheduler's own terms.
        guidance_scale: as the pipeline's call takes it.
        prompts, seeds: of the runs; none of them is a held-out one of a benchmark.
        versions: of sraccel, torch and diffusers.
        date: ISO 8601.
        warnings: cliffs, among others.
        comment: how it was found.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    class_name: str
    weights: str
    dtype: str
    scheduler: str
    flow_shift: float | None = None
    sigmas: list[float]
    guidance_scale: float | None = None
    prompts: list[str]
    seeds: list[int]
    versions: dict[str, str]
    date: str
    warnings: list[str] = []
    comment: str = ""

    def save(self, path: str | Path) -> Path:
        """Write the file as JSON, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return Path(path)

    def fits(self, denoiser: Denoiser) -> bool:
        """Whether the model is the one that was calibrated."""
        facts = denoiser.describe()
        if facts["class"] != self.class_name:
            return False
        # Another precision has other checksums, an outline or an offloaded model has none.
        ours = weights_checksum(denoiser.module) if facts["dtype"] == self.dtype else None
        return ours is None or ours == self.weights


def provenance_of(runs: Sequence[Trajectory], setup: Setup) -> dict[str, Any]:
    """The fields of a `Provenance` that runs and their setup give."""
    return {
        "class_name": setup.class_name,
        "weights": setup.weights,
        "dtype": setup.dtype,
        "scheduler": setup.scheduler,
        "flow_shift": setup.flow_shift,
        "sigmas": runs[0].sigmas,
        "guidance_scale": setup.guidance_scale,
        "prompts": list(dict.fromkeys(run.prompt for run in runs)),
        "seeds": list(dict.fromkeys(run.seed for run in runs)),
        "versions": {name: _version(name) for name in ("sraccel", "torch", "diffusers")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on the path
        return "unknown"
