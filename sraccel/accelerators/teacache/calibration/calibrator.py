"""Fitting TeaCache's coefficients for a model: full runs, a polynomial, a file and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sraccel.accelerators.teacache.calibration.entry import (
    Circumstances,
    entry_of,
    points_of,
)
from sraccel.accelerators.teacache.calibration.recording import Recorder
from sraccel.accelerators.teacache.calibration.runs import FullRun, Journal, Setup, runs_path
from sraccel.accelerators.teacache.calibration_file import (
    CalibrationEntry,
    CalibrationFile,
    SchedulerFacts,
    differences,
    signature_of,
)
from sraccel.accelerators.teacache.rule import Variant
from sraccel.plugin import (
    ConflictError,
    Denoiser,
    DenoiserAdapter,
    LoopError,
    ModelError,
    Progress,
    Stack,
    StepReport,
    check_arguments,
    compose,
    defaults_of,
    output_folder,
    weights_checksum,
    with_progress,
)

if TYPE_CHECKING:
    from sraccel.accelerators.teacache.calibration.fitting import Points

MIN_STEPS = 6
"""A polynomial of degree 4 needs five distances, and those need six steps."""
SIZES = ("height", "width", "num_frames")


@dataclass(frozen=True)
class Calibration:
    """What a calibration made.

    Attributes:
        entries: the fits, one for each denoiser of the pipeline.
        file: all that the output holds now, older entries included.
        paths: the files written: the coefficients, then a picture for each fit, then the runs.
    """

    entries: list[CalibrationEntry]
    file: CalibrationFile
    paths: list[Path]


def calibrate(
    pipe: Any,
    prompts: Sequence[str],
    out: str | Path,
    *,
    seeds: Sequence[int] = (0,),
    num_inference_steps: int = 50,
    retention: bool = False,
    role: Literal["transformer", "render"] = "transformer",
    progress: Progress | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> Calibration:
    """Fit TeaCache's coefficients for the denoisers of a pipeline (arXiv 2411.19108, section 3.3).

    Runs the pipeline in full for each prompt and seed. Each run is on disk beside `out` before the
    next begins, and calling again with the same arguments goes on from there; more prompts or
    seeds may be added. Two experts are fitted separately. Entries that `out` already holds for
    other roles or the other variant stay.

    Args:
        pipe: a diffusers pipeline that takes `prompt` and `output_type`.
        prompts: texts, without repetition; the fit is checked by leaving some of them out.
        out: the file to write, named `*.json`.
        seeds: of the noise, each with each prompt.
        num_inference_steps: steps of each run.
        retention: fit Wan's retention variant; it takes the same runs as the plain one.
        role: `render` for a model that a recipe will bring to render; else the pipeline's own.
        progress: called after each denoising step, where the pipeline takes a callback for it.
        adapters: as for `sraccel.compose`.
        call: further arguments of the pipeline's call (size, guidance, an image). Of values that
            are not plain, going on later can only notice another type.

    Raises:
        ConflictError: too few steps, no prompts, or `out` belongs to another calibration.
        ModelError: no adapter knows the model, or its family has no retention variant.
        OutputError: nothing can be written beside `out`.
        LoopError: a run did not finish.
    """
    variant = Variant.RETENTION if retention else Variant.PLAIN
    wanted = [(prompt, seed) for prompt in dict.fromkeys(prompts) for seed in dict.fromkeys(seeds)]
    check_inputs(prompts, seeds, num_inference_steps, out)
    recorder = Recorder()
    given = role if role == "render" else None
    stack = compose(pipe, [recorder], adapters=adapters, role=given)
    stack.logs_warnings = False  # about a recipe that does nothing, as is meant here
    calibrator = _Calibrator(pipe, stack, recorder, variant, Path(out), num_inference_steps, call)
    calibrator.check()
    journal = Journal.open(runs_path(out, role), calibrator.setup())
    journal.check_runs(wanted)
    calibrator.run(journal, wanted, progress)
    return calibrator.fit(journal, wanted)


def check_inputs(
    prompts: Sequence[str], seeds: Sequence[int], num_inference_steps: int, out: str | Path
) -> None:
    """Refuse what cannot end well with any model; `calibrate` does it, too.

    Raises:
        ConflictError: nothing to run, too few steps, or an output that is not named as JSON.
        ModelError: the output exists and is not a calibration file.
        OutputError: its folder takes no files.
    """
    out = Path(out)
    if isinstance(prompts, str):
        raise ConflictError("prompts are a list of texts, even if there is only one")
    if not prompts or not seeds:
        raise ConflictError("nothing to calibrate with: give at least one prompt and one seed")
    if min(seeds) < 0:
        raise ConflictError(f"seeds are 0 or more, not {min(seeds)}")
    if num_inference_steps < MIN_STEPS:
        raise ConflictError(
            f"{num_inference_steps} steps are too few for a polynomial of degree 4: give at least "
            f"{MIN_STEPS}, or better the number that you will generate with"
        )
    if out.suffix != ".json":
        raise ConflictError(f"the coefficients are JSON: name the output *.json, not {out}")
    output_folder(out.parent)
    if out.exists():
        CalibrationFile.load(out)


@dataclass
class _Calibrator:
    """One calibration."""

    pipe: Any
    stack: Stack
    recorder: Recorder
    variant: Variant
    out: Path
    num_inference_steps: int
    call: dict[str, Any]

    def check(self) -> None:
        """Refuse what cannot end well, before the first run."""
        self._check_call()
        for denoiser in self.stack.denoisers.values():
            self._input_of(denoiser)
        self._older()

    def _check_call(self) -> None:
        """Refuse arguments that the pipeline lacks, or that are not the caller's to give."""
        own = {"prompt", "num_inference_steps", "generator", "output_type"}
        if taken := own & self.call.keys():
            raise ConflictError(
                f"calibrating gives {', '.join(sorted(taken))} itself: leave it out"
            )
        check_arguments(
            self.pipe,
            own | self.call.keys(),
            missing="what the command line cannot give, `sraccel.accelerators.teacache.calibrate"
            "(pipe, prompts, out, image=...)` can",
        )

    def _input_of(self, denoiser: Denoiser) -> str:
        name = self.variant.modulated_input(denoiser.adapter)
        if name is None:
            raise ModelError(
                f"teacache has no {self.variant.value} variant for {denoiser.family!r} models: "
                f"calibrate without it"
            )
        return name

    def _older(self) -> CalibrationFile:
        """What `out` holds already, if that can stay."""
        if not self.out.exists():
            return CalibrationFile()
        file = CalibrationFile.load(self.out)
        for denoiser in self.stack.denoisers.values():
            for entry in file.models.values():
                if entry.role == denoiser.role and differences(entry, denoiser):
                    raise ConflictError(
                        f"{self.out} holds the denoiser {entry.name!r} of another model: choose "
                        f"another output, or remove that file"
                    )
        return file

    def setup(self) -> Setup:
        """What these runs have in common, and those of another calibration have not."""
        models = {
            role: {
                "class": type(denoiser.module).__name__,
                "weights": weights_checksum(denoiser.module),
                "dtype": denoiser.describe()["dtype"],
                "config": signature_of(denoiser.config),
            }
            for role, denoiser in self.stack.denoisers.items()
        }
        return Setup(
            pipeline=type(self.pipe).__name__,
            num_inference_steps=self.num_inference_steps,
            call={name: _plain(value) for name, value in self.call.items()},
            models=models,
            scheduler=self._scheduler().model_dump(),
        )

    def _scheduler(self) -> SchedulerFacts:
        scheduler = self.pipe.scheduler
        config = {key: value for key, value in scheduler.config.items() if value is not None}
        return SchedulerFacts(class_name=type(scheduler).__name__, config=signature_of(config))

    def run(
        self, journal: Journal, wanted: Sequence[tuple[str, int]], progress: Progress | None
    ) -> None:
        """Make the runs that are not on disk yet."""
        done = {(record.prompt, record.seed) for record in journal.records}
        missing = [item for item in wanted if item not in done]
        steps = self.num_inference_steps
        with self.stack:
            for number, (prompt, seed) in enumerate(missing):

                def report(_: Any, done: int, before: int = number * steps) -> None:
                    if progress is not None:
                        progress("calibrating", before + done, len(missing) * steps)

                journal.add(self._full_run(prompt, seed, report))

    def _full_run(self, prompt: str, seed: int, report: StepReport) -> FullRun:
        import torch

        call = {
            "prompt": prompt,
            "num_inference_steps": self.num_inference_steps,
            "generator": torch.Generator().manual_seed(seed),
            "output_type": "latent",
            **self.call,
        }
        self.pipe(**with_progress(self.pipe, call, report))
        report(self.pipe, self.num_inference_steps)
        if self.stack.report.outcome != "finished":
            raise LoopError(
                f"the run of {prompt!r} with seed {seed} did not finish: "
                f"{self.stack.report.outcome}"
            )
        self._check_enough()
        return FullRun(
            prompt=prompt,
            seed=seed,
            num_inference_steps=self.recorder.num_inference_steps,
            series=self.recorder.series,
        )

    def _check_enough(self) -> None:
        """Two experts share the steps: each needs enough of them."""
        for role in self.stack.denoisers:
            own = [series.steps for series in self.recorder.series if series.role == role]
            longest = max(map(len, own), default=0)
            if longest < MIN_STEPS:
                raise ConflictError(
                    f"the denoiser {role!r} took {longest} of {self.num_inference_steps} steps, "
                    f"and a polynomial of degree 4 needs {MIN_STEPS}: give more steps"
                )

    def fit(self, journal: Journal, wanted: Sequence[tuple[str, int]]) -> Calibration:
        """Fit each denoiser, and write everything."""
        order = {item: position for position, item in enumerate(wanted)}
        records = sorted(journal.records, key=lambda record: order[record.prompt, record.seed])
        file = self._older()
        entries, pictures = [], []
        for denoiser in self.stack.denoisers.values():
            points = points_of(records, denoiser.role, self._input_of(denoiser))
            entry = entry_of(denoiser, self.variant, records, points, self._circumstances())
            file.models[entry.name] = entry
            entries.append(entry)
            pictures.append(self._picture(entry, points))
        return Calibration(entries, file, [file.save(self.out), *pictures, journal.path])

    def _circumstances(self) -> Circumstances:
        given = {**defaults_of(self.pipe), **self.call}
        guidance = given.get("guidance_scale")
        return Circumstances(
            scheduler=self._scheduler(),
            num_inference_steps=self.num_inference_steps,
            size={name: given[name] for name in SIZES if isinstance(given.get(name), int)},
            guidance_scale=guidance if isinstance(guidance, (int, float)) else None,
        )

    def _picture(self, entry: CalibrationEntry, points: Points) -> Path:
        from sraccel.accelerators.teacache.calibration.picture import save_picture

        return save_picture(entry, points, self.out.with_suffix(f".{entry.name}.png"))


def _plain(value: Any) -> Any:
    """A value as it fits JSON."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
