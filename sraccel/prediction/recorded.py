"""Decisions of a run or a study that was made, read from its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from sraccel.errors import RecipeError
from sraccel.files import read_text
from sraccel.prediction.decisions import Given
from sraccel.prediction.replay import skipped_shares
from sraccel.report.model import Report
from sraccel.study.results import StudyReport
from sraccel.text import first_complaint

REPORT = "report.json"


def recorded(place: Path, accelerators: Sequence[str], steps: int) -> Given:
    """The switch and the skipped shares that a report says.

    Args:
        place: a report.json of a run or of a study, or the folder that holds it.
        accelerators: names of the recipe's; of a study, the cell that has them counts.
        steps: of the run that is predicted; a switch is moved in proportion.

    Raises:
        RecipeError: it is no report, or none of these accelerators.
    """
    path = place / REPORT if place.is_dir() else place
    try:
        text = read_text(path)
        study = "analysis" in json.loads(text)
        if study:
            return _of_study(StudyReport.model_validate_json(text), accelerators, steps, path)
        return of_run(Report.model_validate_json(text), steps, str(path))
    except OSError as error:
        raise RecipeError(f"cannot read it: {error.strerror}", str(path)) from None
    except ValidationError as error:
        raise RecipeError(f"is no report: {first_complaint(error.errors())}", str(path)) from None
    except (ValueError, TypeError) as error:
        raise RecipeError(f"is no report: {error}", str(path)) from None


def of_run(report: Report, steps: int, source: str) -> Given:
    """The switch, and the share of each model's calls that were skipped."""
    shares = skipped_shares(report)
    return Given(_moved(report.switch_step, len(report.steps), steps), shares, f"as in {source}")


def _of_study(report: StudyReport, accelerators: Sequence[str], steps: int, path: Path) -> Given:
    cell = next(
        (one for one in report.analysis.cells if one.accelerators == list(accelerators)), None
    )
    if cell is None:
        raise RecipeError(
            f"this study has no cell of {' + '.join(accelerators) or 'nothing'}", str(path)
        )
    of_steps = cell.num_inference_steps or steps
    median = None if cell.switch is None else cell.switch.median
    skipped = {} if not cell.reused else {"": cell.reused}
    switch = None if median is None else _moved(round(median), of_steps, steps)
    return Given(switch, skipped, f"as in {path}")


def _moved(switch: int | None, of_steps: int, steps: int) -> int | None:
    return None if switch is None else round(switch / max(of_steps, 1) * steps)
