"""`sraccel new-plugin` writes a package, says what is next, and refuses names that are taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Sraccel


def test_new_plugin_lists_the_files_and_what_is_next(
    sraccel: Sraccel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = sraccel("new-plugin", "sraccel-quiet-steps", "--kind", "kernel")
    assert result.exit_code == 0
    listed = [line for line in result.stdout.splitlines() if line.startswith("sraccel-quiet-steps")]
    assert listed
    assert all(Path(line).is_file() for line in listed)
    assert "pip install -e sraccel-quiet-steps" in result.stdout
    again = sraccel("new-plugin", "sraccel-quiet-steps")
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    other = sraccel("new-plugin", "sraccel-quiet-steps", "--out", "other")
    assert other.exit_code == 0
    assert Path("other/pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("sraccel-teacache", "rule", "'teacache' is installed already"),
        ("sraccel-ssim", "metric", "'ssim' is installed already"),
        ("a b", "rule", "cannot be a package's name"),
        ("sraccel-fine", "nonsense", "'nonsense'"),
    ],
)
def test_new_plugin_refuses_what_could_not_be_used(
    sraccel: Sraccel,
    name: str,
    kind: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    result = sraccel("new-plugin", name, "--kind", kind)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())
