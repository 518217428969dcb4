"""A batch in one process: models are loaded once, one prompt follows the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sraccel.errors import OutputError
from sraccel.models.step_callback import StepReport, with_progress

if TYPE_CHECKING:
    from sraccel.batch.folder import BatchFolder
    from sraccel.batch.prompts_file import PromptJob
    from sraccel.batch.record import Recorder
    from sraccel.loop.stack import Stack

PromptReport = Callable[["PromptJob", str], object]
"""Called as `report(job, reason)` after each prompt: why it failed; empty: it is finished."""


def run_local(
    stack: Stack,
    jobs: Sequence[PromptJob],
    folder: BatchFolder,
    recorder: Recorder,
    *,
    report_prompt: PromptReport | None = None,
    report_step: StepReport | None = None,
) -> int:
    """Make the videos of prompts, each on disk before the next begins; returns how many failed.

    A prompt that fails is taken down, and the next one begins.

    Args:
        stack: of the pipeline; attached for all of them.
        jobs: what is left to do.
        folder: where it is taken down.
        recorder: what writes the files.
        report_prompt: hears of each prompt that ended.
        report_step: hears of each step.

    Raises:
        OutputError: files cannot be written (a full disk): no other prompt could be, either.
    """
    failures = 0
    stack.logs_warnings = False  # they are in the reports
    with stack:
        for job in jobs:
            reason = ""
            try:
                _make(stack, job, folder, recorder, report_step)
            except OutputError:
                raise
            except Exception as error:
                reason, failures = reason_of(error), failures + 1
                folder.failed(job, reason)
            del stack.reports[:]
            if report_prompt is not None:
                report_prompt(job, reason)
    return failures


def _make(
    stack: Stack,
    job: PromptJob,
    folder: BatchFolder,
    recorder: Recorder,
    report_step: StepReport | None,
) -> None:
    call = with_progress(stack.pipeline, call_of(job), report_step)
    output = stack.pipeline(**call)
    folder.finished(job, recorder.save(job, output, stack.report))


def call_of(job: PromptJob) -> dict[str, Any]:
    """The arguments of the pipeline's call, with the generator of the job's seed."""
    import torch

    return {**job.call, "generator": torch.Generator().manual_seed(job.seed)}


def reason_of(error: Exception) -> str:
    """Why a prompt failed, as the manifest says it."""
    return f"{type(error).__name__}: {error}"
