"""Whatever a report holds it can be saved, and wherever writing stops, nothing half is left."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misbehaving import made

import sraccel
from sraccel.plugin import hookimpl
from sraccel.report.model import CallRecord, Report, StepRecord
from sraccel.report.page import save_page
from sraccel.report.page.picture import save_timeline
from sraccel.video.mp4 import save_video


def test_whatever_a_plugin_notes_and_whatever_a_prompt_holds_the_report_can_be_saved(
    pipe: Any, generate: Callable[..., Any], tmp_path: Path
) -> None:
    notes = {"thing": object(), "number": float("inf"), "text": "a\udcff"}
    writes = made("writes", run_started=hookimpl(lambda self, run: run.note(self, **notes)))
    with sraccel.compose(pipe, [writes.Options()]) as stack:
        generate(pipe, steps=1)
    stack.report.call = {"prompt": "\udcff"}  # what is no Unicode on a command line
    read = Report.from_json(stack.report.save(tmp_path / "report.json").read_text("utf-8"))
    assert read.accelerators[0].notes == {"thing": "<object>", "number": None, "text": "a?"}
    assert read.call == {"prompt": "?"}


FRAMES = np.random.default_rng(0).integers(0, 255, (4, 128, 128, 3), dtype=np.uint8)
CALL = CallRecord(branch="cond", requested="transformer", denoiser="transformer", seconds=0.1)
STEPS = [
    StepRecord(index=index, denoiser="transformer", seconds=0.1, calls=[CALL])
    for index in range(60)
]
REPORT = Report(outcome="finished", num_inference_steps=len(STEPS), steps=STEPS)
WRITERS: dict[str, Callable[[Path], object]] = {
    "video.mp4": lambda path: save_video(FRAMES, path),
    "report.json": REPORT.save,
    "timeline.svg": lambda path: save_timeline(REPORT, path),
    "report.html": lambda path: save_page(REPORT, path),
}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let files of this process grow further; works for any user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", WRITERS)
def test_on_a_full_disk_nothing_half_written_is_left_and_the_error_says_why(
    name: str, full_disk: Path
) -> None:
    path = full_disk / name
    path.write_text("older")
    with pytest.raises(sraccel.OutputError, match=f"{name}: No space left on device") as refused:
        WRITERS[name](path)
    error = refused.value
    assert (error.path, error.errno) == (path, errno.ENOSPC)
    assert error.reason == "No space left on device"
    assert [path.name for path in full_disk.iterdir()] == [name]
    assert path.read_text() == "older"


@pytest.mark.parametrize("name", WRITERS)
def test_wherever_in_a_file_writing_stops_nothing_half_written_is_left(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    older = path.read_bytes()
    for limit in (0, 1, len(older) // 2, len(older) - 1):
        with largest_file(limit):
            with pytest.raises(sraccel.OutputError, match="File too large") as refused:
                WRITERS[name](path)
        assert refused.value.errno == errno.EFBIG
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert path.read_bytes() == older
    path.unlink()
    with largest_file(1), pytest.raises(sraccel.OutputError):
        WRITERS[name](path)
    assert not list(tmp_path.iterdir())
