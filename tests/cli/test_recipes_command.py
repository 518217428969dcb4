"""`sraccel recipes`: what is shipped, what for, and each recipe word for word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Sraccel, unframed

from sraccel.recipe.catalogue import Plugin, installed
from sraccel.recipe.recipe import Recipe


@pytest.mark.parametrize("width", [80, 200])
def test_every_recipe_is_listed_with_what_it_is_for(
    sraccel: Sraccel, monkeypatch: pytest.MonkeyPatch, width: int
):
    monkeypatch.setenv("COLUMNS", str(width))
    result = sraccel("recipes")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    for name in installed().recipes:
        assert any(line.startswith(f"{name} ") for line in result.stdout.splitlines())
        assert Recipe.load(name).description.split(",")[0] in words
    assert "…" not in result.stdout


@pytest.mark.parametrize("name", sorted(installed().recipes))
def test_a_recipe_is_printed_as_its_file_with_its_comments(sraccel: Sraccel, name: str):
    result = sraccel("recipes", name)
    assert result.exit_code == 0
    assert result.stdout == installed().recipes[name].read_text(encoding="utf-8")
    assert result.stdout.startswith("#")


def test_as_json_for_programs(sraccel: Sraccel):
    listed = json.loads(sraccel("recipes", "--json").stdout)
    assert [row["name"] for row in listed] == sorted(installed().recipes)
    quality = next(row for row in listed if row["name"] == "wan2.1-14b-quality")
    assert quality["accelerators"] == ["sageattention", "srdiffusion", "teacache"]
    assert quality["model"] == "Wan-AI/Wan2.1-T2V-14B-Diffusers"
    whole = json.loads(sraccel("recipes", "wan2.1-14b-fast", "--json").stdout)
    assert Recipe(**whole) == Recipe.load("wan2.1-14b-fast")


def test_an_unknown_name_says_what_may_be_meant(sraccel: Sraccel):
    result = sraccel("recipes", "wan2.1-14b-fats")
    assert result.exit_code == 2
    assert "wan2.1-14b-fast" in result.stderr


def test_recipes_and_plugins_that_are_broken_stop_no_other_recipe(
    sraccel: Sraccel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = Plugin("broken", "broken 1.2", ImportError("no such thing"))
    monkeypatch.setattr(installed(), "plugins", [*installed().plugins, broken])
    for name, use in {"theirs": "broken", "wrong": "of-nobody"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"accelerators: [{{use: {use}}}]\n")
        monkeypatch.setitem(installed().recipes, name, tmp_path / f"{name}.yaml")
    rows = {row["name"]: row for row in json.loads(sraccel("recipes", "--json").stdout)}
    assert "the plugin 'broken' (broken 1.2) is installed but" in rows["theirs"]["error"]
    assert "of-nobody" in rows["wrong"]["error"]
    assert rows["demo"]["error"] is None
    assert "of-nobody" in sraccel("recipes").stdout
    assert "of-nobody" in sraccel("recipes", "wrong").stdout


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"name: \xff\n", "not UTF-8")]
)
def test_a_recipe_whose_file_cannot_be_read_says_so(
    sraccel: Sraccel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    reason: str,
):
    if content is not None:
        (tmp_path / "gone.yaml").write_bytes(content)
    monkeypatch.setitem(installed().recipes, "gone", tmp_path / "gone.yaml")
    result = sraccel("recipes", "gone")
    assert result.exit_code == 2
    assert reason in unframed(result.stderr)
    assert "demo" in sraccel("recipes").stdout


def test_a_description_does_not_steer_the_terminal(
    sraccel: Sraccel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "theirs.yaml"
    path.write_text('# \u202e2J\ndescription: "\\e[2Jfor all"\n', encoding="utf-8")
    monkeypatch.setitem(installed().recipes, "theirs", path)
    assert "\\x1b[2Jfor all" in sraccel("recipes").stdout
    assert "\\u202e2J" in sraccel("recipes", "theirs").stdout
