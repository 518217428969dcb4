"""The JSON schema of a recipe with everything that is installed here, as editors take it.

A study file is a recipe with one more section; editors complete and check its sweeps, too.

A recipe may still refuse what the schema accepts: options that contradict each other, and names
that must be known (a published model's, say).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from sraccel.loop.accelerator import Accelerator
from sraccel.recipe.catalogue import installed
from sraccel.recipe.reading.merged import INCLUDE, SCHEMA
from sraccel.recipe.recipe import Recipe
from sraccel.study.plan.study import Study
from sraccel.study.plan.sweep import FRAMES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/{model}"
OVER = ".over"
"""Behind an accelerator's name: its options over an included recipe's."""
TITLES = {
    Recipe: ("sraccel recipe", "Which accelerators, with which options, in which order."),
    Study: ("sraccel study", "A recipe, and how it is taken apart and measured."),
}


def recipe_schema(kind: type[Recipe] = Recipe) -> dict[str, Any]:
    """The schema of what a file may hold: a recipe's, or a study's."""
    whole = _schema_of(kind)
    names = sorted(installed().accelerators)
    properties = whole["properties"]
    del properties["accelerators"]["items"]
    properties[INCLUDE] = {
        "type": "string",
        "minLength": 1,
        "description": "Another recipe that this one goes over: a file relative to this one, or "
        "the name of an installed recipe.",
        "examples": sorted(installed().recipes),
    }
    properties[SCHEMA] = {"type": "string", "description": "Where the schema is; for editors."}
    title, description = TITLES[kind]
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "if": {"required": [INCLUDE]},
        "then": _listing([name + OVER for name in names]),
        "else": _listing(names),
        "$defs": _definitions(whole["$defs"], names),
    }


def _definitions(sections: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The sections' definitions, and each accelerator's: by itself, and over an included one."""
    kept = [name for name in ("Sampling", "Plan") if name in sections]
    made: dict[str, Any] = {name: sections[name] for name in kept}
    for name in names:
        made |= _of_accelerator(installed().accelerators[name])
        made[name + OVER] = _over_an_included(made[name])
    if "Plan" in made:
        made["Plan"]["properties"]["sweep"] |= _sweep(made, names)
    return made


def _listing(definitions: Sequence[str]) -> dict[str, Any]:
    """That the list of accelerators holds items of these definitions."""
    items = {
        "type": "object",
        "required": ["use"],
        "discriminator": {"propertyName": "use"},
        "oneOf": [{"$ref": REFERENCE.format(model=name)} for name in definitions],
    }
    return {"properties": {"accelerators": {"items": items}}}


def _sweep(definitions: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Lists of values by option; by option's part (`srdiffusion.render.dtype`) any values."""
    properties = {
        f"{name}.{option}": _values(f"{name}{OVER}/properties/{option}", name)
        for name in names
        for option in definitions[name + OVER]["properties"]
        if option != "use"
    }
    for name in definitions["Sampling"]["properties"]:
        if name not in FRAMES:
            values = _values(f"Sampling/properties/{name}", "sampling")
            values["items"]["not"] = {"type": "null"}
            properties[f"sampling.{name}"] = values
    return {
        "properties": properties,
        "patternProperties": {r"\..*\.": {"type": "array", "minItems": 1}},
        "additionalProperties": {"type": "object"},
    }


def _values(path: str, owner: str) -> dict[str, Any]:
    return {
        "type": "array",
        "minItems": 1,
        "items": {"$ref": REFERENCE.format(model=path)},
        "description": f"Values of an option of {owner}.",
    }


def _over_an_included(schema: dict[str, Any]) -> dict[str, Any]:
    """An accelerator's options over an included recipe's: none is needed, null is the default."""
    needed = schema["required"]
    properties = {
        name: option if name in needed else _or_null(option)
        for name, option in schema["properties"].items()
    }
    return {**schema, "properties": properties, "required": ["use"]}


def _or_null(option: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {
        key: option[key] for key in ("description", "default") if key in option
    }
    allowed = {key: value for key, value in option.items() if key not in about}
    return {**about, "anyOf": [allowed, {"type": "null"}]}


def _of_accelerator(accelerator: type[Accelerator]) -> dict[str, Any]:
    """Definitions by name: the accelerator's own, and those that it refers to."""
    name = accelerator.name
    schema = _schema_of(accelerator.Options, prefix=f"{name}.")
    inner = schema.pop("$defs", {})
    summary = accelerator.summary()
    schema["title"] = name
    schema["description"] = f"{summary} ({installed().origin(name)})"
    schema["properties"]["use"] = {"const": name, "description": summary}
    schema["required"] = ["use", *schema.get("required", [])]
    return {name: schema, **{f"{name}.{key}": value for key, value in inner.items()}}


def _schema_of(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    template = REFERENCE.format(model=prefix + "{model}")
    schema = model.model_json_schema(ref_template=template, schema_generator=_OfFiles)
    return {key: _without_titles(value) for key, value in schema.items() if key != "title"}


class _OfFiles(GenerateJsonSchema):
    """What a file can hold: of a union, not what only Python can give."""

    def union_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().union_schema(schema)
        branches = [branch for branch in made.get("anyOf", []) if branch]
        return {**made, "anyOf": branches} if branches else made


def _without_titles(schema: Any) -> Any:
    """Without the titles that pydantic makes of names: editors show them above descriptions."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
