from __future__ import annotations

from pathlib import Path

import pytest

from sraccel.errors import OutputError
from sraccel.files import output_folder, replacing


def test_a_file_appears_whole_under_its_name(tmp_path: Path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("done")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "done"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def write_and_fail(path: Path, error: BaseException) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path, error: BaseException):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(error)):
        write_and_fail(tmp_path / "a.txt", error)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_operating_system_error_becomes_an_output_error_that_names_the_file(tmp_path: Path):
    with pytest.raises(OutputError, match=r"a\.txt: No space left"), replacing(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")


def test_an_output_folder_is_made_with_its_parents(tmp_path: Path):
    assert output_folder(tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())


def test_a_file_in_the_way_of_an_output_folder_is_an_error(tmp_path: Path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="choose another one"):
        output_folder(tmp_path / "a")
    with pytest.raises(OutputError):
        output_folder(tmp_path / "a" / "b")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_folder_that_takes_no_files_is_refused_before_the_work_whoever_asks() -> None:
    """Nobody, not even root, can make a file in /proc."""
    with pytest.raises(OutputError, match="cannot write to the folder /proc") as refused:
        output_folder("/proc")
    assert refused.value.path == Path("/proc")
    assert refused.value.errno is not None
