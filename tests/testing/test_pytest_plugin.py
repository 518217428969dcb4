"""The fixtures, as an author's own tests use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401 (the inner run would load it in its first fixture)

TESTS = '''
import pytest
from sraccel.plugin import Accelerator, Call, hookimpl
from sraccel.testing import BehaviourError, standard_targets

TOY = standard_targets()[:1]


class EveryThird(Accelerator):
    """Skips every third step."""

    name = "every-third"

    @hookimpl
    def skip_blocks(self, call: Call) -> bool:
        return call.step.solver_step % 3 == 2


class Ends(Accelerator):
    """Ends the program."""

    name = "ends"

    @hookimpl
    def run_started(self, run) -> None:
        raise SystemExit


def test_behaves(check_accelerator):
    assert check_accelerator(EveryThird, targets=TOY).accelerator == "every-third"


def test_does_not(check_accelerator):
    with pytest.raises(BehaviourError, match="raised SystemExit in hook run_started"):
        check_accelerator(Ends, targets=TOY)


def test_the_models_run(tiny_pipeline, tiny_partner, tiny_call):
    assert tiny_pipeline(**tiny_call(steps=1)).frames.isfinite().all()
    tiny_pipeline.transformer = tiny_partner
    assert tiny_pipeline(**tiny_call(steps=1)).frames.isfinite().all()
'''


class Outcomes:
    """Hears how an inner run of pytest goes."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.longreprtext)
        elif report.when == "call":
            self.passed.append(report.nodeid.rpartition("::")[2])


def test_they_are_there_where_a_conftest_asks_for_them(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["sraccel.testing.pytest_plugin"]\n')
    (tmp_path / "test_mine.py").write_text(TESTS)
    heard = Outcomes()
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    pytest.main([str(tmp_path / "test_mine.py"), *options], plugins=[heard])
    assert not heard.failed
    assert heard.passed == ["test_behaves", "test_does_not", "test_the_models_run"]


def test_it_costs_nothing_before_a_test_asks_and_pytest_does_not_find_it_by_itself() -> None:
    program = (
        "import sys, sraccel.testing.pytest_plugin\n"
        "from importlib.metadata import entry_points\n"
        "assert not {'torch', 'diffusers', 'numpy'} & {*sys.modules}\n"
        "print([e.value for e in entry_points(group='pytest11') if 'sraccel' in e.value])"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "[]"
