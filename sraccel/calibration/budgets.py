"""Calibrated budgets: for each number of steps, which of a grid's; a file beside the weights.

Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sraccel.errors import ModelError
from sraccel.files import replacing
from sraccel.models.checksum import weights_checksum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sraccel.loop.denoiser import Denoiser

What = Literal["steps", "schedule"]
"""`steps`: those that are taken, and no others. `schedule`: those that are computed."""
SAME = 1e-4
"""Grids whose noise levels differ by no more than this are one grid."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Budget(_Strict):
    """So many steps of the grid.

    Attributes:
        positions: 0-based, rising, beginning with 0.
        error: predicted, in the unit of the latents; None where the runs themselves decided.
        error_held_out: the same on prompts left out.
        psnr_db: of videos to a reference, where runs decided; what it is, `comment` says.
    """

    positions: list[int] = Field(min_length=1)
    error: float | None = None
    error_held_out: float | None = None
    psnr_db: float | None = None

    @model_validator(mode="after")
    def _rises_from_0(self) -> Self:
        if self.positions[0] != 0 or sorted(set(self.positions)) != self.positions:
            raise ValueError(f"positions begin with 0 and rise, not {self.positions}")
        return self


class BudgetFile(_Strict):
    """Budgets of one model, and how they came about.

    Attributes:
        what: whose budgets they are.
        class_name: of the model.
        weights: checksum of some of its weights, in the precision of `dtype`.
        dtype: of the model's weights.
        scheduler: name of its class.
        flow_shift: of the scheduler, where it has one.
        sigmas: noise levels of the grid, falling, in the scheduler's own terms.
        guidance_scale: as the pipeline's call takes it.
        settings: what was assumed of the predictor, for `schedule`.
        budgets: by the number of steps.
        prompts, seeds: of the runs; none of them is a held-out one of a benchmark.
        versions: of sraccel, torch and diffusers.
        date: ISO 8601.
        warnings: cliffs, among others.
        comment: how they were found.
    """

    schema_version: Literal[1] = 1
    what: What
    class_name: str
    weights: str
    dtype: str
    scheduler: str
    flow_shift: float | None = None
    sigmas: list[float]
    guidance_scale: float | None = None
    settings: dict[str, Any] = {}
    budgets: dict[int, Budget]
    prompts: list[str]
    seeds: list[int]
    versions: dict[str, str]
    date: str
    warnings: list[str] = []
    comment: str = ""

    @classmethod
    def load(cls, path: str | Path, what: What) -> Self:
        """Read a file.

        Raises:
            ModelError: it is missing, malformed, or of another accelerator.
        """
        path = Path(path).expanduser()
        try:
            content = json.loads(path.read_text("utf-8"))
            file = cls.model_validate(content)
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}; {_advice(what)}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ModelError(
                f"{path} is not a calibration of {what!r} ({where}: {first['msg']}): "
                f"{_advice(what)}"
            ) from None
        except ValueError as error:
            raise ModelError(f"{path} is not JSON ({error}); {_advice(what)}") from error
        if file.what != what:
            raise ModelError(f"{path} is a calibration of {file.what!r}: {_advice(what)}")
        return file

    def save(self, path: str | Path) -> Path:
        """Write the file as JSON, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return Path(path)

    def budget(self, number: int) -> Budget:
        """The steps for a number of them.

        Raises:
            ModelError: it was not calibrated for that.
        """
        if number not in self.budgets:
            known = ", ".join(map(str, sorted(self.budgets)))
            raise ModelError(
                f"{self.what}: this model is calibrated for {known} steps, not for {number}: give "
                f"one of these, or calibrate for it: {_command(self.what)} --budgets {number}"
            )
        return self.budgets[number]

    def levels(self, number: int) -> list[float]:
        """Noise levels of the steps for a number of them."""
        return [self.sigmas[position] for position in self.budget(number).positions]

    def positions_on(self, number: int, sigmas: Sequence[float]) -> list[int]:
        """The steps for a number of them, on another grid: those of the nearest noise levels.

        Raises:
            ModelError: the grid is too coarse to hold so many different ones.
        """
        levels = self.levels(number)
        found = sorted({_nearest(level, sigmas) for level in levels} | {0})
        if len(found) < number:
            raise ModelError(
                f"{self.what}: a run of {len(sigmas)} steps has not {number} different ones near "
                f"the calibrated noise levels: take more steps, or a smaller budget"
            )
        return found

    def fits(self, denoiser: Denoiser) -> bool:
        """Whether the model is the one that was calibrated."""
        facts = denoiser.describe()
        if facts["class"] != self.class_name:
            return False
        # Another precision has other checksums, an outline or an offloaded model has none.
        ours = weights_checksum(denoiser.module) if facts["dtype"] == self.dtype else None
        return ours is None or ours == self.weights


def _nearest(level: float, sigmas: Sequence[float]) -> int:
    return min(range(len(sigmas)), key=lambda position: abs(sigmas[position] - level))


def _command(what: str) -> str:
    return f"sraccel calibrate {what} --model MODEL --prompts FILE -o {what}.json"


def _advice(what: str) -> str:
    return f"give the file that `{_command(what)}` wrote"


def budgets_for(what: What, denoiser: Denoiser, path: str | None = None) -> BudgetFile:
    """The calibration of a model: a named file, or `<what>.json` beside its weights.

    Raises:
        ModelError: there is none, or it is another model's.
    """
    if path is not None:
        file = BudgetFile.load(path, what)
        if not file.fits(denoiser):
            raise ModelError(
                f"{what}: {path} was calibrated on {file.class_name} with other weights than "
                f"those of the denoiser {denoiser.role!r}: {_command(what)}"
            )
        return file
    for beside in denoiser.beside_its_weights(f"{what}.json"):
        file = BudgetFile.load(beside, what)
        if file.fits(denoiser):
            return file
    raise ModelError(
        f"{what}: no calibration lies beside the weights of the denoiser {denoiser.role!r}: make "
        f"one ({_command(what)}) and name it by `file:`, or give the steps themselves"
    )
