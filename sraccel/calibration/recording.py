"""One set of recorded bare runs on disk: each is kept before the next begins."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sraccel.calibration.calibration import RunRecorder
from sraccel.calibration.trajectory import Recorder, Trajectory
from sraccel.composer import compose
from sraccel.errors import ConflictError, LoopError, OutputError
from sraccel.models.arguments import check_arguments, defaults_of
from sraccel.models.checksum import weights_checksum
from sraccel.models.step_callback import Progress, with_progress
from sraccel.noise.flow_shift import flow_shift

if TYPE_CHECKING:
    from sraccel.loop.stack import Stack

OWN = frozenset({"prompt", "num_inference_steps", "generator", "output_type"})
"""Arguments of the pipeline's call that recording gives itself."""


class Setup(BaseModel):
    """What the runs of a file share; its first line.

    Attributes:
        class_name, weights, dtype: of the model, the weights as a checksum.
        scheduler: name of its class.
        scheduler_config: as JSON.
        guidance_scale: of the call, given or by default.
        call: further arguments of the pipeline's call, as far as they are plain.
    """

    model_config = ConfigDict(extra="forbid")

    class_name: str
    weights: str
    dtype: str
    scheduler: str
    scheduler_config: dict[str, Any]
    flow_shift: float | None
    num_inference_steps: int
    guidance_scale: float | None
    call: dict[str, Any]


def setup_of(stack: Stack, pipe: Any, steps: int, call: dict[str, Any]) -> Setup:
    """The setup of runs of a pipeline."""
    config = json.loads(json.dumps(dict(pipe.scheduler.config), default=str))
    plain = (str, int, float, bool, type(None))
    guidance = {**defaults_of(pipe), **call}.get("guidance_scale")
    return Setup(
        class_name=type(stack.own.module).__name__,
        weights=weights_checksum(stack.own.module) or "",
        dtype=str(stack.own.describe()["dtype"]),
        scheduler=type(pipe.scheduler).__name__,
        scheduler_config={key: config[key] for key in config if not key.startswith("_")},
        flow_shift=flow_shift(pipe.scheduler.config),
        num_inference_steps=steps,
        guidance_scale=float(guidance) if isinstance(guidance, (int, float)) else None,
        call={k: v if isinstance(v, plain) else type(v).__name__ for k, v in call.items()},
    )


def recorded(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    path: Path,
    num_inference_steps: int = 50,
    progress: Progress | None = None,
    recorders: Mapping[str, RunRecorder] | None = None,
    **call: Any,
) -> tuple[Setup, list[Trajectory]]:
    """The bare runs of prompts and seeds: those in the file, and those that are missing.

    Args:
        pipe: a diffusers pipeline that takes `prompt` and `output_type`.
        prompts, seeds: each with each.
        path: JSON lines; other calibrations of the same model may share it.
        num_inference_steps: steps of each run, which is the grid of what is calibrated.
        progress: called after each denoising step.
        recorders: what else watches the runs, by calibration; a run in the file that one of them
            has not seen is made again.
        call: further arguments of the pipeline's call.

    Raises:
        ConflictError: nothing to run, or the file is of another model or other runs' settings.
        OutputError: the file cannot be used.
        LoopError: a run did not finish.
    """
    wanted = [(prompt, seed) for prompt in dict.fromkeys(prompts) for seed in dict.fromkeys(seeds)]
    if not wanted:
        raise ConflictError("nothing to calibrate with: give at least one prompt and one seed")
    check_arguments(pipe, OWN | call.keys())
    recorder, others = Recorder(), dict(recorders or {})
    stack = compose(pipe, [recorder, *others.values()])
    stack.logs_warnings = False  # about a recipe that does nothing, as is meant here
    setup = setup_of(stack, pipe, num_inference_steps, call)
    found = _read(path, setup)
    missing = [
        item for item in wanted if item not in found or others.keys() - found[item].more.keys()
    ]
    with stack:
        for number, (prompt, seed) in enumerate(missing):
            _run(pipe, prompt, seed, setup, call, _after(progress, number, len(missing), setup))
            if stack.report.outcome != "finished":
                raise LoopError(f"the run of {prompt!r} with seed {seed} did not finish")
            run, known = recorder.trajectory(prompt, seed), found.get((prompt, seed))
            run.more = {
                **(known.more if known is not None else {}),
                **{name: other.recorded() for name, other in others.items()},
            }
            found[prompt, seed] = run
            _append(path, found[prompt, seed])
    return setup, [found[item] for item in wanted]


def _after(progress: Progress | None, number: int, runs: int, setup: Setup) -> Any:
    """What is said after each step of a run."""

    def report(_: Any, done: int) -> None:
        if progress is not None:
            steps = setup.num_inference_steps
            progress("calibrating", number * steps + done, runs * steps)

    return report


def _run(
    pipe: Any, prompt: str, seed: int, setup: Setup, call: dict[str, Any], report: Any
) -> None:
    import torch

    arguments = {
        "prompt": prompt,
        "num_inference_steps": setup.num_inference_steps,
        "generator": torch.Generator().manual_seed(seed),
        "output_type": "latent",
        **call,
    }
    with torch.no_grad():
        pipe(**with_progress(pipe, arguments, report))


def _read(path: Path, setup: Setup) -> dict[tuple[str, int], Trajectory]:
    """The runs so far; a file that holds none is begun anew."""
    try:
        content = path.read_bytes() if path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]  # an interrupt may leave half a line
        lines = whole.splitlines()
        if len(lines) < 2:
            path.unlink(missing_ok=True)
            _append(path, setup)
            return {}
        if whole != content:
            os.truncate(path, len(whole))
        theirs = Setup.model_validate_json(lines[0])
        runs = [Trajectory.model_validate_json(line) for line in lines[1:]]
    except OSError as error:
        raise OutputError(f"cannot use {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise ConflictError(
            f"{path} is damaged, or not a file of recorded runs ({error.error_count()} problems): "
            f"remove it to begin anew"
        ) from None
    if differing := [key for key, ours in setup if getattr(theirs, key) != ours]:
        raise ConflictError(
            f"{path} holds runs of another model or setting ({', '.join(differing)} differ): give "
            f"the same options to go on, another file to begin anew, or remove that one"
        )
    return {(run.prompt, run.seed): run for run in runs}


def _append(path: Path, line: BaseModel) -> None:
    try:
        with path.open("ab") as file:
            file.write(line.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
