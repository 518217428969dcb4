"""A study from its recipe to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.errors import LoopError, OutputError
from sraccel.files import output_folder
from sraccel.models.loading import FPS
from sraccel.models.shared import shared_loading
from sraccel.report.origin import Source, sources_of
from sraccel.study.assemble import assemble
from sraccel.study.plan.design import cells_of, showcase_cells
from sraccel.study.plan.study import Study
from sraccel.study.report.outputs import save_report
from sraccel.study.runs.cell_runner import CellRunner
from sraccel.study.runs.experiment import Experiment
from sraccel.study.runs.header import Header, header_of
from sraccel.study.runs.judging import Judge, KeptFrames, ShownVideos
from sraccel.study.runs.rounds import Rounds
from sraccel.study.runs.store import Store
from sraccel.study.runs.watcher import Watcher

if TYPE_CHECKING:
    from sraccel.loop.denoiser_adapter import DenoiserAdapter
    from sraccel.study.cell import CellRun
    from sraccel.study.results import StudyReport
    from sraccel.study.runs.watcher import StudyForecast


def run_study(
    pipe: Any,
    study: Any,
    out: str | Path,
    *,
    watcher: Watcher | None = None,
    sources: Sequence[Source] | None = None,
    fps: float = FPS,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> StudyReport:
    """Measure how the accelerators of a recipe go together, and write a report.

    Each finished run is on disk before the next begins. Calling again with the same arguments goes
    on where an earlier call was stopped; there may be other prompts, seeds and limits. Speedups
    are ratios to the bare run of the same prompt, noise and round.

    Args:
        pipe: a diffusers pipeline that takes `prompt`; it is as it was afterwards.
        study: a `Study`, or anything that `Study.load` takes; it must name prompts.
        out: folder for the runs (`study.sqlite`), the videos and the report.
        watcher: hears how it goes.
        sources: models and files that make the videos; by default what the recipe names.
        fps: frames per second of the videos.
        adapters: as for `sraccel.compose`.
        call: arguments of the pipeline's call, over those of the recipe's `sampling`.

    Raises:
        RecipeError: the study is not valid, or names no prompts.
        ConflictError: the folder holds another study, or no accelerated cell can run.
        ModelError: no adapter knows the model, or the call is not possible.
        PluginError: an accelerator leaves the pipeline changed.
        OutputError: a run cannot be kept; those before it are.
        LoopError: the bare pipeline does not finish its runs, so that there is nothing to compare.
        KeyboardInterrupt: as it came; the report of what there is has been written.
    """
    experiment = Experiment.of(pipe, study, call, watcher or Watcher(), adapters)
    with shared_loading():
        return measured(experiment, _header(experiment, sources), out, fps)


def measured(experiment: Experiment, header: Header, out: str | Path, fps: float) -> StudyReport:
    """Make the runs of a study that are missing in its folder, whatever makes them, and report.

    Args and errors as `run_study`; `header`: what all runs share.
    """
    folder = output_folder(out)
    with Store.begin(folder, header) as store:
        shown = experiment.blocks[: experiment.plan.show]
        videos = ShownVideos(folder, showcase_cells(experiment.cells), shown, fps)
        judge = Judge(store, KeptFrames(folder / "frames"), videos, experiment.names)
        try:
            stopped = Rounds(experiment, store, judge).run()
        except KeyboardInterrupt:
            _break_off(store, "interrupted")
            raise
        except LoopError:
            _break_off(store, "failed")
            raise
        if not store.session:  # all was there: this is how it is to be reported now
            store.start_session({**store.facts(), **_plan_of(experiment)})
        store.end_session(stopped)
        return write_report(store)


def _break_off(store: Store, why: str) -> None:
    """Report what there is; what keeps that from being written hides no error before it."""
    if store.session:
        with suppress(OutputError):
            store.end_session(why)
            write_report(store)


def write_report(store: Store) -> StudyReport:
    """Write the report of a study's folder, from what is there.

    Raises:
        OutputError: nothing was run yet, or a file cannot be written.
    """
    report = assemble(store)
    save_report(report, store.path.parent)
    return report


def forecast_study(
    pipe: Any,
    study: Any,
    *,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    sources: Sequence[Source] | None = None,
    adapters: Sequence[DenoiserAdapter] = (),
    **call: Any,
) -> StudyForecast:
    """What a study would run and how long that takes: a few steps of each cell, nothing written.

    Args:
        pipe, study, watcher, sources, adapters, call: as for `run_study`.
        out: folder that may hold runs of the study already; their times are better than a
            warm-up's.

    Raises:
        as `run_study`, but for what writing raises.
    """
    experiment = Experiment.of(pipe, study, call, watcher or Watcher(), adapters)
    records: list[CellRun] = []
    with shared_loading():
        header = _header(experiment, sources)
        store = None if out is None else Store.find(Path(out))
        if store is not None:
            with store:
                store.check(header)
                records = list(store.records().values())
        experiment.runner.warm_up(experiment.blocks[0])
        experiment.check_something_runs()
    return experiment.forecast(records)


def check_folder(study: Study, out: str | Path, call: Mapping[str, Any]) -> None:
    """Refuse a folder that a study cannot go on in, as far as that is known without its model.

    Args:
        study: what is to be run.
        out: the folder, which need not be there.
        call: arguments that all runs share.

    Raises:
        ConflictError: it holds runs of other cells, or of another call.
        OutputError: another process runs the study.
    """
    store = Store.find(Path(out))
    if store is None:
        return
    cells = {cell.name: cell.describe() for cell in cells_of(study)}
    with store:
        store.check(store.header.model_copy(update={"cells": cells, "call": dict(call)}))


def _header(experiment: Experiment, sources: Sequence[Source] | None) -> Header:
    """Compose everything, and say what was composed."""
    runner = experiment.runner
    assert isinstance(runner, CellRunner)
    runner.compose()
    experiment.check_something_runs()
    given = list(sources_of([], experiment.study) if sources is None else sources)
    return header_of(runner.pipe, experiment.cells, runner.stacks, given, runner.call)


def _plan_of(experiment: Experiment) -> dict[str, Any]:
    """What may have changed though nothing had to be run; what an attached stack said stays."""
    facts = experiment.facts()
    del facts["claims_no_speed"]
    return facts
