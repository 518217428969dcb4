"""Calibrated budgets: for each number of steps, which of a grid's; a file beside the weights.

Importing this module imports neither torch nor diffusers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sraccel.calibration.provenance import Provenance
from sraccel.errors import ModelError
from sraccel.loop.finding import Finding
from sraccel.noise.flow_shift import flow_shift, same_shift
from sraccel.text import first_complaint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sraccel.loop.denoiser import Denoiser
    from sraccel.loop.stack import Stack

What = Literal["steps", "schedule"]
"""`steps`: those that are taken, and no others. `schedule`: those that are computed."""
SAME = 1e-4
"""Grids whose noise levels differ by no more than this are one grid."""


class Budget(BaseModel):
    """So many steps of the grid.

    Attributes:
        positions: 0-based, rising, beginning with 0.
        error: predicted, in the unit of the latents; None where the runs themselves decided.
        error_held_out: the same on prompts left out.
        psnr_db: of videos to a reference, where runs decided; what it is, `comment` says.
    """

    model_config = ConfigDict(extra="forbid")

    positions: list[int] = Field(min_length=1)
    error: float | None = None
    error_held_out: float | None = None
    psnr_db: float | None = None

    @model_validator(mode="after")
    def _rises_from_0(self) -> Self:
        if self.positions[0] != 0 or sorted(set(self.positions)) != self.positions:
            raise ValueError(f"positions begin with 0 and rise, not {self.positions}")
        return self


class BudgetFile(Provenance):
    """Budgets of one model, and how they came about.

    Attributes:
        what: whose budgets they are.
        settings: what was assumed of the predictor, for `schedule`.
        budgets: by the number of steps.
    """

    what: What
    settings: dict[str, Any] = {}
    budgets: dict[int, Budget]

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
            raise ModelError(
                f"{path} is not a calibration of {what!r} ({first_complaint(error.errors())}): "
                f"{_advice(what)}"
            ) from None
        except ValueError as error:
            raise ModelError(f"{path} is not JSON ({error}); {_advice(what)}") from error
        if file.what != what:
            raise ModelError(f"{path} is a calibration of {file.what!r}: {_advice(what)}")
        return file

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

    def outlook(self, stack: Stack) -> Iterator[Finding]:
        """What it warned of when it was made, and whether it was made at another flow shift."""
        for warning in self.warnings:
            yield Finding("warning", warning)
        scheduler = getattr(stack.pipeline, "scheduler", None)
        actual = flow_shift(getattr(scheduler, "config", {}))
        if self.flow_shift is None or actual is None or same_shift(self.flow_shift, actual):
            return
        yield Finding(
            "warning",
            f"{self.what} was calibrated at flow shift {self.flow_shift:g}, and this model's "
            f"scheduler has {actual:g}: the steps that counted there need not count here. "
            f"Calibrate for it ({_command(self.what)}), or take a rule that adapts, as `feedback`",
        )

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
