"""The map of the house: few loose modules, rooms that say what they are for, light tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import rooms

TESTS = Path(__file__).parent
WITHOUT_TORCH = ("demo", "recipe", "report", "study/analysis", "study/plan")
each_room = pytest.mark.parametrize("room", rooms.rooms())


def test_at_most_ten_modules_lie_loose() -> None:
    assert len(rooms.loose_modules()) <= 10, rooms.loose_modules()


@each_room
def test_a_room_says_what_it_is_for(room: str) -> None:
    purpose, _, more = rooms.docstring(room).partition("\n")
    assert purpose.endswith("."), f"sraccel/{room}/__init__.py: no first line that says what for"
    assert "Others use: " in more, f"sraccel/{room}/__init__.py: no `Others use: a, b.`"


@each_room
def test_what_others_import_of_a_room_is_named_there(room: str) -> None:
    unnamed = sorted(rooms.used(room) - rooms.offered(room))
    assert not unnamed, f"sraccel/{room}/__init__.py: `Others use:` does not name {unnamed}"


def test_nothing_inside_takes_the_way_round_the_rooms() -> None:
    """`from sraccel import compare` loads lazily, by name: no import contract would see it."""
    package = TESTS.parent / "sraccel"
    lines = [
        f"{path.relative_to(package)}: {line}"
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("from sraccel import")
    ]
    assert not lines


@each_room
def test_a_room_has_its_tests(room: str) -> None:
    assert list((TESTS / room).rglob("test_*.py")), f"no tests/{room}"


def test_contributing_holds_the_present_rooms() -> None:
    written = rooms.TABLE.search(rooms.CONTRIBUTING.read_text(encoding="utf-8"))
    assert written, "CONTRIBUTING.md has no table between `<!-- rooms -->` and `<!-- end -->`"
    assert written[0] == rooms.table(), "out of date: run `python tests/support/rooms.py`"


def test_tests_that_need_no_torch_start_without_it() -> None:
    """They are collected in about a second; importing torch and diffusers takes five."""
    program = (
        "import pytest, sys\n"
        "for part in sys.argv[1:]:\n"
        "    status = pytest.main(['--collect-only', '-qq', part])\n"
        "    loaded = {'torch', 'diffusers', 'transformers'} & {*sys.modules}\n"
        "    if loaded or status:\n"
        "        sys.exit(f'{part}: exit code {status}, loads {loaded}')\n"
    )
    command = [sys.executable, "-c", program, *(str(TESTS / part) for part in WITHOUT_TORCH)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}{done.stdout[-2000:]}"
