"""`sraccel schema`: what an editor needs to complete and check a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml
from command import Sraccel

from sraccel.check.schema import recipe_schema
from sraccel.study.plan.study import Study


def test_the_schema_is_printed_and_written(sraccel: Sraccel, tmp_path: Path):
    printed = sraccel("schema")
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == recipe_schema()
    path = tmp_path / "recipe.schema.json"
    assert sraccel("schema", "-o", path).exit_code == 0
    assert path.read_text() == printed.stdout


def test_the_printed_schema_tells_right_from_wrong(sraccel: Sraccel):
    check = jsonschema.Draft202012Validator(json.loads(sraccel("schema").stdout))
    assert check.is_valid(yaml.safe_load(sraccel("recipes", "demo").stdout))
    wrong = {"accelerators": [{"use": "teacache", "treshold": 0.1}]}
    (error,) = check.iter_errors(wrong)
    assert list(error.absolute_path) == ["accelerators", 0]


def test_the_schema_of_study_files_has_their_section_and_what_can_be_swept(sraccel: Sraccel):
    printed = json.loads(sraccel("schema", "--study").stdout)
    assert printed == recipe_schema(Study)
    check = jsonschema.Draft202012Validator(printed)
    wrong = {"sweep": {"teacache.threshold": [0.1, "x"]}}
    (error,) = check.iter_errors({"include": "demo", "study": wrong})
    assert list(error.absolute_path) == ["study", "sweep", "teacache.threshold", 1]


def test_a_folder_that_is_not_there_is_one_message(sraccel: Sraccel, tmp_path: Path):
    result = sraccel("schema", "-o", tmp_path / "none" / "schema.json")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
