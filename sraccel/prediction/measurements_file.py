"""Measurements on disk, a line each, so that an interrupted bench goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sraccel.errors import OutputError
from sraccel.files import output_folder, save_text
from sraccel.prediction.measuring import Measurement

NAME = "measurements.jsonl"


class MeasurementsFile:
    """The file of one bench.

    Args:
        folder: that it lies in; it is made.
        conditions: all that decides what is measured; JSON.

    Attributes:
        done: what it holds.

    Raises:
        OutputError: it cannot be read or written, or was measured under other conditions.
    """

    def __init__(self, folder: Path, conditions: Mapping[str, Any]) -> None:
        self.path = output_folder(folder) / NAME
        self.done: list[Measurement] = []
        plain = json.loads(json.dumps(conditions))
        if self.path.is_file():
            self._read(plain)
        else:
            self._append(json.dumps(plain))

    def _read(self, conditions: dict[str, Any]) -> None:
        first, *lines = self.path.read_text(encoding="utf-8").splitlines() or [""]
        try:
            before = json.loads(first)
        except ValueError:
            raise OutputError(
                f"{self.path} is no file of measurements: take another --out"
            ) from None
        differing = [key for key in conditions if before.get(key) != conditions[key]]
        if differing:
            raise OutputError(
                f"{self.path} was measured under other conditions ({', '.join(differing)}): take "
                f"another --out, or delete it",
                path=self.path,
            )
        for line in lines:
            try:
                self.done.append(Measurement.model_validate_json(line))
            except ValidationError:  # the last line of a run that was killed
                whole = [first, *lines[: len(self.done)]]
                save_text("\n".join(whole) + "\n", self.path)
                break

    def add(self, measurement: Measurement) -> None:
        """Write one, at once."""
        self._append(measurement.model_dump_json())

    def _append(self, line: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}", path=self.path
            ) from error
