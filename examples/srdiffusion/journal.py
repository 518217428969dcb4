"""Finished runs on disk, so that an interrupt loses none: their lines and their frames."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sraccel.errors import OutputError
from sraccel.files import replacing
from sraccel.report.build import versions

PACKAGES = ("sraccel", "torch", "diffusers")


class Journal:
    """Finished runs: a file of JSON lines, only ever appended to, each line synced to the disk.

    The first line is a header that says what the runs are runs of.

    Raises:
        OutputError: the file holds runs of something else, or is damaged.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self._path = path
        header = json.loads(json.dumps(header))
        self.entries = self._read()
        if not self.entries:
            self.add(header)
        self._check(self.entries.pop(0), header)

    def _read(self) -> list[dict[str, Any]]:
        """The whole lines; a last one that an interrupt left half-written is cut off."""
        content = self._path.read_bytes() if self._path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._path, len(whole))
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise OutputError(f"{self._path} is damaged ({error}): move it away") from error

    def _check(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        differs = sorted(
            key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)
        )
        if differs:
            raise OutputError(
                f"{self._path} holds runs with other {', '.join(differs)}: give the options of "
                f"those runs, or another folder"
            )

    def add(self, entry: dict[str, Any]) -> None:
        """Append one line; when this returns, it is on the disk."""
        with self._path.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(entry)


def save_frames(path: Path, frames: np.ndarray) -> None:
    """Keep frames in [0, 1] with 8 bits a channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, frames=np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8))


def load_frames(path: Path) -> torch.Tensor:
    """The frames that `save_frames` kept, as float32 in [0, 1]."""
    with np.load(path) as stored:
        return torch.from_numpy(stored["frames"]).float() / 255


def package_versions() -> dict[str, str]:
    """Versions of what decides the bits of a video."""
    return {name: versions()[name] for name in PACKAGES}
