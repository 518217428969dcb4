"""Runs the command line in this process, as the script `sraccel` does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from sraccel.cli import app


@pytest.fixture
def sraccel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`sraccel("plugins", "--json")`; the result has `exit_code`, `stdout` and `stderr`."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
