"""`sraccel-vbench`: make VBench's environment, and judge videos in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from sraccel.plugin import replacing
from sraccel_metrics.vbench import DIMENSIONS, VBenchError, checked, evaluate, python_of

PACKAGES = ("vbench==0.1.5", "torch", "torchvision", "numpy<2", "setuptools<81")
"""VBench names neither torch nor torchvision; openai-clip needs setuptools' pkg_resources."""
NEWEST_PYTHON = (3, 11)
"""The last for which the tokenizers of transformers 4.33.2 are built."""

app = typer.Typer(
    help="VBench's dimensions for videos of sraccel, in an environment of its own.",
    no_args_is_help=True,
    add_completion=False,
)
Environment = Annotated[
    Path, typer.Option(envvar="SRACCEL_VBENCH", help="Folder that `install` made.")
]


@app.command()
def install(
    environment: Annotated[Path, typer.Argument(help="Folder of the new environment.")],
    python: Annotated[
        str, typer.Option(help="Interpreter to make it with: Python 3.8 to 3.11.")
    ] = sys.executable,
) -> None:
    """Make an environment with VBench in it (several gigabytes, with torch)."""
    try:
        _check_python(python)
        _run([python, "-m", "venv", str(environment)])
        _run([str(python_of(environment)), "-m", "pip", "install", *PACKAGES])
    except VBenchError as error:
        _fail(error)
    typer.echo(f"made {environment}; for scores in reports: export SRACCEL_VBENCH={environment}")


def _check_python(python: str) -> None:
    asked = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise VBenchError(f"{python} is no interpreter: {error}") from error
    version = tuple(map(int, said.split()))
    if not (3, 8) <= version <= NEWEST_PYTHON:
        raise VBenchError(
            f"{python} is Python {'.'.join(map(str, version))}, and VBench's transformers 4.33.2 "
            f"is built for 3.8 to 3.11: name such an interpreter by --python"
        )


def _run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode:
        raise VBenchError(f"this failed, see above: {' '.join(command)}")


@app.command()
def score(
    videos: Annotated[list[Path], typer.Argument(help="Video files.", exists=True, dir_okay=False)],
    environment: Environment,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="What they show: one for all, or one for each, in their order."),
    ] = None,
    dimension: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(DIMENSIONS)}; all if none.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where VBench's models run.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Also write the numbers to this file.")] = None,
) -> None:
    """Judge videos by VBench's dimensions, as JSON: a number for each video, in their order."""
    try:
        prompts = _for_each(videos, prompt or [""])
        names = checked(dimension or DIMENSIONS)
        found = evaluate(prompts, names, environment, device)
    except VBenchError as error:
        _fail(error)
    text = json.dumps({"videos": [str(video) for video in videos], "dimensions": found}, indent=2)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    typer.echo(text)
    if all("error" in one for one in found.values()):
        raise typer.Exit(1)


def _for_each(videos: list[Path], prompts: list[str]) -> dict[Path, str]:
    if len(prompts) not in (1, len(videos)):
        raise VBenchError(
            f"{len(prompts)} prompts for {len(videos)} videos: give one for all, or one for each"
        )
    each = prompts * len(videos) if len(prompts) == 1 else prompts
    return dict(zip(videos, each, strict=True))


def _fail(error: VBenchError) -> None:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2)
