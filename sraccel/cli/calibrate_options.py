"""What every calibration from recorded bare runs takes, and the runs themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sraccel.cli.pipelines import Placing, check_room, load, refusals
from sraccel.errors import ConflictError

if TYPE_CHECKING:
    from sraccel.calibration.calibration import RunRecorder
    from sraccel.calibration.recording import Setup
    from sraccel.calibration.trajectory import Trajectory

Model = Annotated[
    str, typer.Option(help="Folder in diffusers' format, name on the hub, or `demo`.")
]
Prompts = Annotated[
    Path,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="Text file, a prompt a line. Empty lines and lines that begin with # don't count.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="File for the result, named *.json.")]
Runs = Annotated[
    Path | None,
    typer.Option(
        help="File of recorded runs, named *.jsonl; those that are in it are not made again, "
        "whichever calibration they were made for. `runs.jsonl` beside --out, if not given."
    ),
]
Steps = Annotated[int, typer.Option(min=2, help="Denoising steps of each run: the grid.")]
Seeds = Annotated[str, typer.Option(help="Seeds of the noise, each with each prompt.")]


def texts_of(path: Path) -> list[str]:
    """The prompts of a file, one a line."""
    from sraccel.recipe.prompts import PromptsError, read_prompts

    try:
        return read_prompts(path)
    except PromptsError as error:
        raise typer.BadParameter(str(error)) from None


def numbers_of(seeds: str) -> list[int]:
    """Whole numbers as `--seeds` takes them."""
    try:
        numbers = [int(part) for part in seeds.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise typer.BadParameter(f"--seeds takes whole numbers such as 0,1,2, not {seeds!r}")
    return list(dict.fromkeys(numbers))


@dataclass
class Recordings:
    """The bare runs that a calibration is made of: those in the file, and the missing ones."""

    model: str
    prompts: Path
    out: Path
    runs: Path | None
    steps: int
    seeds: str
    call: dict[str, Any]

    @property
    def path(self) -> Path:
        """The file of runs."""
        return self.runs or self.out.with_name("runs.jsonl")

    def make(
        self, placing: Placing, recorders: Mapping[str, RunRecorder] | None = None
    ) -> tuple[Setup, list[Trajectory]]:
        """Record what is missing."""
        from sraccel.calibration.recording import recorded
        from sraccel.cli.progress import denoising
        from sraccel.files import output_folder

        if self.out.suffix != ".json":
            raise ConflictError(f"a calibration is JSON: name the output *.json, not {self.out}")
        texts, seeds = texts_of(self.prompts), numbers_of(self.seeds)
        output_folder(self.out.parent)
        check_room([self.model], placing)
        pipe = load(self.model, placing)
        arguments = {"prompt": "", "num_inference_steps": self.steps, **self.call}
        with refusals(pipe, arguments), denoising(pipe) as progress:
            return recorded(
                *(pipe, texts, seeds, self.path, self.steps, progress, recorders), **self.call
            )

    def kept(self, number: int) -> str:
        """What is said of the runs in the end."""
        return f"{number} runs are in {self.path}: another calibration of this model can use them"
