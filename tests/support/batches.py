"""A recipe of the demo pair and a file of prompts, for `sraccel generate --prompts`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from sraccel.cli import app

RECIPE = "model: demo\naccelerators:\n  - {use: srdiffusion, render: demo, switch_step: 1}\n"
LINES = [
    {"id": "red", "prompt": "a red circle moving left", "seed": 3},
    {"id": "blue", "prompt": "a blue square moving up"},
    {"id": "odd", "prompt": "a green circle moving down", "height": 7},
    {"id": "last.1", "prompt": "a red circle moving left", "num_inference_steps": 2},
]


class Batch:
    """A folder with a recipe and a file of prompts."""

    def __init__(self, folder: Path) -> None:
        self.recipe, self.prompts = folder / "recipe.yaml", folder / "prompts.jsonl"
        self.out = folder / "out"
        self.recipe.write_text(RECIPE)
        self.ask(LINES)

    def ask(self, lines: list[dict[str, Any]]) -> None:
        self.prompts.write_text("\n\n".join(json.dumps(line) for line in lines) + "\n")

    def arguments(self, *more: object) -> list[str]:
        call = ("generate", self.recipe, "--prompts", self.prompts, "--steps", 3, "-o", self.out)
        return [str(item) for item in (*call, *more)]

    def run(self, *more: object) -> Result:
        return CliRunner().invoke(app, self.arguments(*more))

    def entries(self) -> list[dict[str, Any]]:
        lines = (self.out / "manifest.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines[1:]]

    def ends(self) -> dict[str, str]:
        return {entry["id"]: entry["status"] for entry in self.entries()}

    def times(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.out.glob("*.mp4")}

    def sums(self) -> dict[str, str]:
        """Checksums of the frames, by prompt."""
        reports = self.out.glob("*.report.json")
        return {
            path.name.removesuffix(".report.json"): json.loads(path.read_text())["origin"][
                "frames_sha256"
            ]
            for path in reports
        }

    def begin(self, *more: object, environment: Mapping[str, str] | None = None) -> Any:
        """The command as a process of its own, which has written another video."""
        before = len(self.sums())
        process = subprocess.Popen(
            [sys.executable, "-m", "sraccel", *self.arguments(*more)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        waited(lambda: len(self.sums()) > before, process)
        return process


def waited(condition: Callable[[], Any], process: Any) -> None:
    """Wait until something is so, as long as a process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
