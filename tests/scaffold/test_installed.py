"""What is written installs, passes its own tests and lint; the tutorial holds, word by word.

In new environments, which see the packages of this one: nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from sraccel.scaffold.package import KINDS

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not all(map(find_spec, ("hatchling", "editables"))),
        reason="builds packages with hatchling, which is in sraccel[dev]",
    ),
]


@dataclass
class Shell:
    """A shell whose folder stays from one call to the next."""

    folder: Path
    variables: dict[str, str]

    def __call__(self, commands: str) -> str:
        """What the commands print; each must succeed."""
        ended_in = self.folder.parent / "folder"
        done = subprocess.run(
            ["bash", "-ec", f"{commands}\npwd >{ended_in}"],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        self.folder = Path(ended_in.read_text().strip())
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """In an empty folder, with a new environment that has sraccel and what its tests need."""
    bin_folder = new_environment(tmp_path / "environment")
    (tmp_path / "empty").mkdir()
    offline = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, **offline, "PATH": path, "COLUMNS": "200"}
    variables.pop("PYTHONPATH", None)
    return Shell(tmp_path / "empty", variables)


def new_environment(folder: Path) -> Path:
    """Its folder of programs; it sees the packages of the environment that runs the tests."""
    venv.create(folder, with_pip=True)
    (site,) = folder.glob("lib/python*/site-packages")
    known = [str(ROOT), *(path for path in sys.path if path.endswith("-packages"))]
    (site / "tests-run-with.pth").write_text("\n".join(known) + "\n")
    for module in ("sraccel", "pytest"):
        script = folder / "bin" / module
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    # The program itself: `python -m ruff` would look for it beside this very script.
    (folder / "bin" / "ruff").symlink_to(Path(sysconfig.get_path("scripts")) / "ruff")
    return folder / "bin"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_installs_and_passes_its_own_tests_and_lint(kind: str, shell: Shell) -> None:
    shell(f"sraccel new-plugin sraccel-my-{kind} --kind {kind}")
    shell(f"pip install ./sraccel-my-{kind}")
    listed = shell("sraccel plugins --json")
    assert f"sraccel-my-{kind} 0.1.0" in listed
    shell(f"cd sraccel-my-{kind}\npytest -q\nruff check .\nruff format --check .")


def test_the_tutorial_leads_from_an_empty_folder_to_a_plugin_in_a_report(shell: Shell) -> None:
    page = (ROOT / "docs/plugin-tutorial.md").read_text(encoding="utf-8")
    shown = ""
    for language, title, text in FENCE.findall(page):
        if title == "output of the command":
            assert all(line.strip() in shown for line in text.splitlines()), shown
        elif title:
            Path(shell.folder, title).write_text(text, encoding="utf-8")
        elif language == "sh":
            shown = shell(text)
        elif language == "toml":
            assert text in Path(shell.folder, "pyproject.toml").read_text(encoding="utf-8")
    assert Path(shell.folder, "second/report.html").is_file()
