"""What can be calibrated from recorded bare runs: `sraccel calibrate NAME`.

A plugin brings its own by the hook `sraccel_calibrations`. It says what is recorded beside the
latents and predictions of a run, what a set of runs says, and how wrong that is on others; the
core records, resumes, leaves prompts out, draws and writes the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ValidationError

from sraccel.calibration.provenance import Provenance
from sraccel.calibration.trajectory import Trajectory
from sraccel.errors import ModelError
from sraccel.loop.accelerator import Accelerator

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RunRecorder(Accelerator):
    """An accelerator that watches bare runs and changes nothing of them."""

    name = "recorder"
    claims_speed = False

    def recorded(self) -> Any:
        """What it kept of the last run, as JSON holds it."""
        raise NotImplementedError


class Calibration(ABC):
    """What one calibration needs of runs, and what it makes of them.

    Attributes:
        name: as in `sraccel calibrate NAME`.
        purpose: a sentence, for `--help`.
        unit: of `error`, for the table and the picture.
    """

    name: ClassVar[str]
    purpose: ClassVar[str]
    unit: ClassVar[str]

    def recorder(self) -> RunRecorder | None:
        """What watches the runs, if latents and guided predictions are not enough.

        What it kept is in `Trajectory.more`, by the calibration's name.
        """
        return None

    @abstractmethod
    def fit(self, runs: Sequence[Trajectory]) -> Mapping[str, Any]:
        """What the runs say, as JSON holds it."""

    @abstractmethod
    def error(self, fit: Mapping[str, Any], run: Trajectory) -> float:
        """How wrong a fit is on a run."""

    @abstractmethod
    def recipe(self, fit: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
        """Accelerators of a recipe that uses the file."""

    def warnings(self, fit: Mapping[str, Any]) -> Iterable[str]:
        """What to know before it is used: cliffs, among others."""
        return ()

    @abstractmethod
    def draw(self, axes: Axes, fit: Mapping[str, Any], runs: Sequence[Trajectory]) -> None:
        """The fit and what it was made of."""


class FitFile(Provenance):
    """A fit, and how it came about.

    Attributes:
        name: of the calibration.
        fit: as the calibration made it.
        error: its mean on the runs that it was made of.
        error_held_out: the same on prompts left out; None: there is one prompt.
    """

    name: str
    fit: dict[str, Any]
    error: float
    error_held_out: float | None = None

    @classmethod
    def load(cls, path: str | Path, name: str) -> Self:
        """Read a file.

        Raises:
            ModelError: it is missing, malformed, or of another calibration.
        """
        advice = f"give the file that `sraccel calibrate {name} ... -o {name}.json` wrote"
        try:
            file = cls.model_validate_json(Path(path).expanduser().read_text("utf-8"))
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}; {advice}") from error
        except (ValidationError, ValueError) as error:
            raise ModelError(f"{path} is not a calibration of {name!r}: {advice}") from error
        if file.name != name:
            raise ModelError(f"{path} is a calibration of {file.name!r}: {advice}")
        return file
