"""The schema that editors check a recipe with agrees with what the recipe itself accepts."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sraccel.check.schema import recipe_schema
from sraccel.errors import RecipeError
from sraccel.loop.accelerator import Accelerator, AcceleratorOptions
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe

SCHEMA = recipe_schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)
BUILT_IN = ("sageattention", "srdiffusion", "teacache")
NEEDED: dict[str, dict[str, Any]] = {
    "srdiffusion": {"render": "demo"},
    "sageattention": {"kernel": "emulated"},
    "teacache": {},
}
"""What an accelerator needs beside the option that is tried."""
OPTIONS = [
    (name, option)
    for name in BUILT_IN
    for option in installed().accelerators[name].Options.model_fields
    if option != "use"
]


def valid(content: Any) -> bool:
    return bool(CHECK.is_valid(content))


def accepted(content: dict[str, Any]) -> bool:
    with contextlib.suppress(RecipeError):
        Recipe(**content)
        return True
    return False


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA, allow_nan=False)


@pytest.mark.parametrize("name", sorted(installed().recipes))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    content = yaml.safe_load(installed().recipes[name].read_text(encoding="utf-8"))
    CHECK.validate(content)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"acelerators": []},
        {"accelerators": {"use": "teacache"}},
        {"accelerators": ["teacache"]},
        {"accelerators": [{}]},
        {"accelerators": [{"use": "teacash"}]},
        {"accelerators": [{"use": "teacache", "treshold": 0.1}]},
        {"accelerators": [{"use": "teacache", "threshold": "high"}]},
        {"accelerators": [{"use": "teacache", "threshold": -1}]},
        {"accelerators": [{"use": "teacache", "kernel": "auto"}]},
        {"accelerators": [{"use": "sageattention", "kernel": "tritn"}]},
        {"accelerators": [{"use": "srdiffusion", "render": 3}]},
        {"accelerators": [{"use": "srdiffusion", "render": {"modle": "demo"}}]},
        {"accelerators": [{"use": "srdiffusion", "render": "demo", "switch_step": -1}]},
        {"sampling": {"steps": 3}},
        {"sampling": {"num_inference_steps": 0}},
        {"sampling": {"height": "480"}},
        {"include": ["demo"]},
        {"model": ""},
    ],
)
def test_what_is_wrong_is_not_valid(content: Any) -> None:
    assert not valid(content)


def test_a_json_recipe_may_say_where_its_schema_is() -> None:
    content = {"$schema": "recipe.schema.json", "accelerators": [{"use": "teacache"}]}
    assert valid(content)
    assert accepted(content)


def test_every_option_has_its_description_and_its_default() -> None:
    for name, option in OPTIONS:
        field = installed().accelerators[name].Options.model_fields[option]
        described = SCHEMA["$defs"][name]["properties"][option]
        assert field.description
        assert described["description"] == field.description
        assert described["default"] == field.default


def test_every_installed_accelerator_is_there_by_its_name_with_what_it_does() -> None:
    branches = SCHEMA["else"]["properties"]["accelerators"]["items"]["oneOf"]
    names = [branch["$ref"].rpartition("/")[2] for branch in branches]
    assert names == sorted(installed().accelerators)
    for name in names:
        definition = SCHEMA["$defs"][name]
        assert definition["properties"]["use"]["const"] == name
        assert definition["required"][0] == "use"
        assert installed().accelerators[name].summary() in definition["description"]
        assert installed().origin(name) in definition["description"]


def test_a_third_partys_accelerator_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Halver(Accelerator):
        """Halves everything."""

        name = "halver"

        class Options(AcceleratorOptions):
            by: int

    monkeypatch.setitem(installed().accelerators, "halver", Halver)
    check = jsonschema.Draft202012Validator(recipe_schema())
    assert check.is_valid({"accelerators": [{"use": "halver", "by": 2}]})
    assert not check.is_valid({"accelerators": [{"use": "halver"}]})
    assert not check.is_valid({"accelerators": [{"use": "halver", "by": "x"}]})


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 60),
    st.floats(-2, 2, allow_nan=False),
    st.sampled_from(
        [
            "auto",
            "demo",
            "none",
            "paper",
            "per_step",
            "both",
            "swap",
            "prefetch",
            "triton",
            "emulated",
            "always",
            "after_switch",
            "latent",
            "cpu",
            "model",
            "x",
            "0.5",
            "file.json",
            "CogVideoX-2b",
        ]
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.sampled_from(["demo", 3]),
            "dtype": st.sampled_from(["auto", "float16", "fp16"]),
            "scale": st.sampled_from([1, "one", 0.5]),
            "subfolder": st.sampled_from(["transformer", None, 2]),
        },
    ),
    st.lists(st.one_of(st.floats(-2, 2), st.text(max_size=2)), min_size=5, max_size=5),
    st.dictionaries(
        st.sampled_from(["transformer", "render"]),
        st.lists(st.integers(-9, 9), min_size=5, max_size=5),
        max_size=2,
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OPTIONS), VALUES)
def test_what_the_schema_accepts_the_recipe_accepts(option: tuple[str, str], value: Any) -> None:
    """One option at a time: which of them contradict each other, no schema says."""
    name, key = option
    content = {"accelerators": [{"use": name, **NEEDED[name], key: value}]}
    if valid(content):
        assert accepted(content)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["num_inference_steps", "guidance_scale", "height", "negative_prompt", "steps"]
        ),
        VALUES,
    )
)
def test_sampling_that_the_schema_accepts_the_recipe_accepts(sampling: dict[str, Any]) -> None:
    content = {"sampling": sampling}
    if valid(content):
        assert accepted(content)
    if not accepted(content):
        assert not valid(content)


DEFAULTS = [
    (name, option)
    for name, option in OPTIONS
    if not installed().accelerators[name].Options.model_fields[option].is_required()
    and option != "render"  # its default is only for `sraccel.handoff`
]


@pytest.mark.parametrize(("name", "option"), DEFAULTS)
def test_over_an_included_recipe_null_is_the_default(name: str, option: str) -> None:
    content = {"include": "demo", "accelerators": [{"use": name, option: None}]}
    assert valid(content)
    assert accepted(content)


def test_what_an_included_recipe_gives_is_not_required_again() -> None:
    content: dict[str, Any] = {"accelerators": [{"use": "srdiffusion", "threshold": 0.02}]}
    assert valid({"include": "demo", **content})
    assert accepted({"include": "demo", **content})
    assert not valid({"accelerators": [{"use": "teacache", "threshold": None}]})
    for wrong in ({"use": "teacash"}, {"use": "teacache", "threshold": "x"}, {"threshold": 1}):
        assert not valid({"include": "demo", "accelerators": [wrong]})
