"""Files that would be read for ever, echo what is no recipe, or cost more than they weigh."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sraccel.errors import RecipeError
from sraccel.files import read_bytes
from sraccel.recipe.prompts import PromptsError, read_prompts
from sraccel.recipe.reading.merged import ALLOWED
from sraccel.recipe.recipe import Recipe

SECONDS = 15.0
"""Of CPU time on a slow machine; what is refused here took minutes, or all memory."""


def refused(path: Path) -> str:
    began = time.process_time()
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path)
    assert time.process_time() - began < SECONDS
    return str(caught.value)


@pytest.mark.parametrize("name", ["/proc/self/environ", "/etc/passwd", "../secret.yaml"])
def test_includes_stay_in_the_recipes_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.yaml").write_text("accelerators: [{use: token-abc123}]")
    folder = tmp_path / "recipes"
    folder.mkdir()
    path = folder / "a.yaml"
    path.write_text(f"include: {name}")
    said = refused(path)
    assert "lies outside of" in said
    assert "token-abc123" not in said


def test_a_link_to_elsewhere_is_followed_before_it_is_judged(tmp_path: Path) -> None:
    (tmp_path / "out.yaml").write_text("accelerators: []")
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "out.yaml")
    (folder / "a.yaml").write_text("include: link.yaml")
    assert "lies outside of" in refused(folder / "a.yaml")


def test_a_user_can_allow_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text("sampling: {num_inference_steps: 7}")
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "a.yaml").write_text("include: ../base.yaml")
    assert "lies outside of" in refused(folder / "a.yaml")
    monkeypatch.setenv(ALLOWED, str(tmp_path))
    assert Recipe.load(folder / "a.yaml").sampling.num_inference_steps == 7


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        assert "not a regular file" in refused(path)
        with pytest.raises(OSError, match="not a regular file"):
            read_bytes(path)
        with pytest.raises(PromptsError):
            read_prompts(path)
    assert "is a folder" in refused(tmp_path)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # sparse
    assert "larger than the 256 KiB" in refused(path)
    with pytest.raises(PromptsError, match="larger than"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("a.toml", "a" + ".a" * 20_000 + " = 1", "a key of more than 50 parts"),
        ("a.toml", '"a"' + " . 'a'" * 200 + " = 1", "a key of more than 50 parts"),
        ("a.toml", "x = " + "[" * 90 + "]" * 90, "more than 50 levels"),
        ("a.toml", "x = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a.json", "[" * 90 + "]" * 90, "more than 50 levels"),
        ("a.yaml", "accelerators: [" + "1," * 100_000 + "]", "more than 20,000 values"),
        ("a.json", '{"accelerators": [' + "1," * 100_000 + "1]}", "more than 20,000 values"),
        ("a.yaml", "".join(f"k{n}: 1\n" for n in range(9_000)), "no 'k0'"),
        ("a.yaml", "flow_shift: " + "9" * 5000, "no possible int"),
        ("a.json", '{"flow_shift": ' + "9" * 5000 + "}", "too many digits"),
        ("a.toml", "flow_shift = " + "9" * 5000, "too many digits"),
        ("a.yaml", "sampling: {num_inference_steps: 1" + "0" * 30 + "}", "or less"),
    ],
)
def test_cost_stays_in_proportion_and_the_limit_is_named(
    tmp_path: Path, name: str, text: str, limit: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert limit in refused(path)
