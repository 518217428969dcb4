"""The folder of a batch: which prompts are done, and the manifest that says so.

The manifest is a file of JSON lines to which one process appends. Its first line says what makes
the videos; each other one is about a prompt, and the last one about a prompt counts. A prompt is
done when its report is there: one that was written by a process that was killed before it could
append its line is taken in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sraccel.batch.prompts_file import PromptJob
from sraccel.batch.record import REPORT, VIDEO
from sraccel.errors import ConflictError, OutputError
from sraccel.report.model import Report
from sraccel.text import shortened

MANIFEST = "manifest.jsonl"
FINISHED, FAILED = "finished", "failed"


class BatchFolder:
    """What is there, and what is left; errors of its constructor as `sraccel.files.output_folder`.

    Args:
        path: the folder.
        heading: what makes the videos: model, recipe, precision. Plain JSON.

    Raises:
        ConflictError: it holds videos of another recipe or model.
    """

    def __init__(self, path: Path, heading: Mapping[str, Any]) -> None:
        self.path = path
        self._heading = {"kind": "batch", **heading}
        self._entries: dict[str, dict[str, Any]] = {}
        lines = list(self._read())
        if lines:
            self._check_heading(lines[0])
            self._sweep()
        else:
            self._append(self._heading)
        for entry in lines[1:]:
            self._entries[entry["id"]] = entry

    @property
    def manifest(self) -> Path:
        """The file."""
        return self.path / MANIFEST

    def counts(self) -> dict[str, int]:
        """How many prompts ended how."""
        ends = [entry["status"] for entry in self._entries.values()]
        return {status: ends.count(status) for status in (FINISHED, FAILED)}

    def left(self, jobs: Sequence[PromptJob]) -> list[PromptJob]:
        """The prompts that are not done; those that failed are tried again.

        Raises:
            ConflictError: a prompt of the same id was made otherwise: with both values.
        """
        left = []
        there = {entry.name for entry in os.scandir(self.path)}
        for job in jobs:
            done = {f"{job.id}{VIDEO}", f"{job.id}{REPORT}"} <= there
            if not done:
                left.append(job)
                continue
            entry = self._entries.get(job.id)
            if entry is None or entry["status"] != FINISHED:
                entry = self.take_in(job)
            self._check_request(job, entry)
        return left

    def _sweep(self) -> None:
        """Remove what a killed process had begun to write."""
        for part in self.path.glob(".*.part"):
            part.unlink(missing_ok=True)

    def finished(self, job: PromptJob, report: Report) -> None:
        """Take down that a prompt's files are there."""
        self._add(_finished(job.id, report))

    def failed(self, job: PromptJob, reason: str) -> None:
        """Take down that a prompt failed, and why."""
        self._add({"id": job.id, "status": FAILED, "error": reason, "request": job.request})

    def take_in(self, job: PromptJob) -> dict[str, Any]:
        """Take down that a prompt's files are there, as its report says; returns the line."""
        text = (self.path / f"{job.id}{REPORT}").read_text(encoding="utf-8")
        entry = _finished(job.id, Report.from_json(text))
        self._add(entry)
        return entry

    def _add(self, entry: dict[str, Any]) -> None:
        self._entries[entry["id"]] = entry
        self._append(entry)

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            with self.manifest.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(
                f"cannot write {self.manifest}: {reason}; what is finished is kept: the same "
                f"command goes on",
                path=self.manifest,
                errno=error.errno,
                reason=reason,
            ) from error

    def _read(self) -> Iterator[dict[str, Any]]:
        """The lines; one that was cut off is cut away, so that the next begins on its own."""
        try:
            data = self.manifest.read_bytes()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.manifest, len(whole))
        for line in whole.splitlines():
            yield json.loads(line)

    def _check_heading(self, before: Mapping[str, Any]) -> None:
        if before != self._heading:
            names = [key for key in self._heading if before.get(key) != self._heading[key]]
            rows = "".join(
                f"\n  {key}: {shortened(str(before.get(key)), 200)} there, "
                f"{shortened(str(self._heading[key]), 200)} now"
                for key in names
            )
            raise ConflictError(
                f"{self.path} holds videos that were made otherwise:{rows}\ntake another folder"
            )

    def _check_request(self, job: PromptJob, entry: Mapping[str, Any]) -> None:
        before, now = entry["request"], job.request
        for name in dict.fromkeys([*before, *now]):
            if before.get(name) != now.get(name):
                raise ConflictError(
                    f"the prompt {job.id!r} is in {self.path} already, made otherwise: {name} was "
                    f"{before.get(name)!r} and is {now.get(name)!r} now: give it another id, or "
                    f"take another folder"
                )


def _finished(name: str, report: Report) -> dict[str, Any]:
    seconds = None if report.accelerated is None else report.accelerated.seconds
    return {
        "id": name,
        "status": FINISHED,
        "video": f"{name}{VIDEO}",
        "report": f"{name}{REPORT}",
        "request": report.call,
        "frames_sha256": report.origin.frames_sha256 if report.origin else None,
        "switch_step": report.switch_step,
        "denoising_seconds": seconds,
        "warnings": report.warnings,
    }
