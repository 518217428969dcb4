"""A new package of each kind is whole, lint-free, short and named after one name."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sraccel.errors import OutputError
from sraccel.recipe.recipe import Recipe
from sraccel.scaffold.names import LONGEST, names_of
from sraccel.scaffold.package import KINDS, rendered, write_package

DOCS = Path(__file__).parents[2] / "docs"
FILES = {
    *("pyproject.toml", "README.md", "recipe.yaml", ".gitignore", ".github/workflows/tests.yml"),
    *("src/sraccel_my_rule/__init__.py", "src/sraccel_my_rule/my_rule.py"),
    *("tests/conftest.py", "tests/test_my_rule.py"),
}


def test_a_package_has_code_tests_a_readme_a_recipe_and_a_file_for_ci(tmp_path: Path) -> None:
    written = write_package(names_of("sraccel-my-rule"), "rule", tmp_path / "new")
    assert {path.as_posix() for path in written} == FILES
    there = {path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "new").as_posix() for path in there} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_every_kind_is_free_of_lint_with_the_shortest_and_the_longest_name(tmp_path: Path) -> None:
    for kind in KINDS:
        for name in (f"{kind[0]}q", f"sraccel-{kind}-{'x' * LONGEST}"[: LONGEST + 8]):
            write_package(names_of(name), kind, tmp_path / f"{kind}-{name}")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_at_most_40_lines_of_code_and_parses(kind: str) -> None:
    texts = dict(rendered(names_of("sraccel-my-one"), kind))
    code = texts[Path("src/sraccel_my_one/my_one.py")]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    project = tomllib.loads(texts[Path("pyproject.toml")])
    assert project["project"]["entry-points"]["sraccel"] == {"my-one": "sraccel_my_one"}
    assert re.match(r"sraccel>=\d+\.\d+,<\d+", project["project"]["dependencies"][0])
    workflow = yaml.safe_load(texts[Path(".github/workflows/tests.yml")])
    (job,) = workflow["jobs"].values()
    assert {"pytest", "ruff check ."} <= {step.get("run") for step in job["steps"]}
    items = yaml.safe_load(texts[Path("recipe.yaml")])["accelerators"]
    Recipe.load([item for item in items if item["use"] != "my-one"])
    assert not re.search(r"{{|{%", "".join(texts.values()).replace("${{ matrix.python }}", ""))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_kind_quotes_the_code_that_is_written(kind: str) -> None:
    texts = dict(rendered(names_of(f"sraccel-my-{kind}"), kind))
    page = (DOCS / f"how-to/write-a-{kind}.md").read_text(encoding="utf-8")
    assert texts[Path(f"src/sraccel_my_{kind}/my_{kind}.py")] in page
    assert f"sraccel new-plugin sraccel-my-{kind} --kind {kind}" in page


def test_the_tutorial_quotes_the_code_that_is_written() -> None:
    texts = dict(rendered(names_of("sraccel-quiet-steps"), "rule"))
    page = (DOCS / "plugin-tutorial.md").read_text(encoding="utf-8")
    assert texts[Path("src/sraccel_quiet_steps/quiet_steps.py")] in page


@given(
    st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}([-_.][A-Za-z][A-Za-z0-9]{0,4}){0,2}", fullmatch=True)
)
def test_all_names_follow_from_one(name: str) -> None:
    names = names_of(f"sraccel-zz{name}")
    assert names.package.isidentifier()
    assert names.module.isidentifier()
    assert names.kind.isidentifier()
    assert names.distribution == f"sraccel-{names.item}"
    assert names_of(names.distribution) == names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((wrong, "cannot be a package's name") for wrong in ("", "a b", "-x", "x-", "../x", "é")),
        ("sraccel", "is there already"),
        ("torch", "a Python package 'torch' is there already"),
        ("sraccel-class", "cannot be called 'class'"),
        ("sraccel-call", "cannot be called 'call'"),
        ("x" * (LONGEST + 1), "longer than"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        names_of(name)


def test_what_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    names = names_of("sraccel-my-rule")
    for folder in (tmp_path, tmp_path / "mine"):
        with pytest.raises(OutputError, match="is there already"):
            write_package(names, "rule", folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    write_package(names, "rule", tmp_path / "deep/empty")
