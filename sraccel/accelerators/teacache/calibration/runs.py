"""The runs of a calibration on disk: each is kept before the next begins."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sraccel.accelerators.teacache.calibration.recording import Series
from sraccel.plugin import ConflictError, OutputError, shortened


class Setup(BaseModel):
    """What all runs of a calibration share; the first line of their file.

    Attributes:
        models: class, configuration, dtype and a checksum of each denoiser, by role.
        call: arguments of the pipeline's call that are the same in each run.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    schema_version: Literal[1] = 1
    pipeline: str
    num_inference_steps: int
    call: dict[str, Any]
    models: dict[str, dict[str, Any]]
    scheduler: dict[str, Any]

    def differences(self, other: Setup) -> Iterator[tuple[str, object, object]]:
        """(name, value here, value there) of what differs."""
        ours, theirs = (dict(_flat("", item.model_dump(mode="json"))) for item in (self, other))
        for key in {**ours, **theirs}:
            if ours.get(key) != theirs.get(key):
                yield key, ours.get(key), theirs.get(key)


def runs_path(out: str | Path, role: str) -> Path:
    """Where the runs of a calibration with this output are kept."""
    return Path(out).with_suffix(f".{role}.runs.jsonl")


def count_runs(path: Path) -> int:
    """Whole runs in a file; 0 if there is none."""
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.is_file() else 0


def _flat(path: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{path}.{key}" if path else key, item)
    else:
        yield path, value


class FullRun(BaseModel):
    """Its prompt and seed, and the distances of each denoiser and branch."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    seed: int
    num_inference_steps: int
    series: list[Series]


@dataclass
class Journal:
    """A file of JSON lines: the setup, then a record a run.

    A line that an interrupt or a crash left half written is dropped when the file is opened.
    """

    path: Path
    setup: Setup
    records: list[FullRun] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, setup: Setup) -> Self:
        """Read the runs so far, or begin a new file.

        Raises:
            ConflictError: the file is of another calibration, or damaged.
            OutputError: it cannot be read or written.
        """
        journal = cls(path, setup)
        try:
            lines = journal._whole_lines() if path.exists() else []
            if len(lines) > 1:
                journal._take(lines)
            else:  # no run to lose
                path.unlink(missing_ok=True)
                journal._append(setup)
        except OSError as error:
            raise OutputError(f"cannot use {path}: {error.strerror or error}") from error
        return journal

    def add(self, record: FullRun) -> None:
        """Keep a run; it is on disk when this returns.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self._append(record)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.records.append(record)

    def check_runs(self, wanted: Collection[tuple[str, int]]) -> None:
        """Refuse to mix runs of other prompts or seeds; there may be fewer of them.

        Raises:
            ConflictError: naming one that is not wanted.
        """
        for record in self.records:
            if (record.prompt, record.seed) not in wanted:
                raise ConflictError(
                    f"{self.path} holds a run of the prompt {record.prompt!r} with seed "
                    f"{record.seed}, which is not among those given now. {self._advice()}"
                )

    def _whole_lines(self) -> list[bytes]:
        """The lines that end; the rest is cut off the file."""
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(self.path, end)
        return content[:end].splitlines()

    def _take(self, lines: list[bytes]) -> None:
        try:
            found = Setup.model_validate_json(lines[0])
            self.records = [FullRun.model_validate_json(line) for line in lines[1:]]
        except ValidationError as error:
            raise ConflictError(
                f"{self.path} is damaged, or not a file of a calibration's runs "
                f"({error.error_count()} problems in a line): remove it to begin anew"
            ) from None
        rows = [
            f"\n  {key}: {shortened(repr(theirs))} (there), {shortened(repr(ours))} (now)"
            for key, ours, theirs in self.setup.differences(found)
        ]
        if rows:
            raise ConflictError(
                f"{self.path} holds runs of another calibration; they differ in{''.join(rows)}\n"
                f"{self._advice()}"
            )

    def _advice(self) -> str:
        return "Give the same options to go on, another output to begin anew, or remove that file."

    def _append(self, line: BaseModel) -> None:
        with self.path.open("ab") as file:
            file.write(line.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
