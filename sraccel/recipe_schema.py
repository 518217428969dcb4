"""The JSON schema of a recipe with everything that is installed here, as editors take it.

What a schema accepts a recipe may still refuse: options that contradict each other, and names that
must be known (a published model's, say).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from sraccel.accelerator import Accelerator
from sraccel.catalogue import installed
from sraccel.reading.merged import INCLUDE, SCHEMA
from sraccel.recipe import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/{model}"


def recipe_schema() -> dict[str, Any]:
    """The schema of what a file may hold."""
    whole = _schema_of(Recipe)
    definitions: dict[str, Any] = {"Sampling": whole["$defs"]["Sampling"]}
    properties = whole["properties"]
    properties[INCLUDE] = {
        "type": "string",
        "minLength": 1,
        "description": "Another recipe that this one goes over: a file relative to this one, or "
        "the name of an installed recipe.",
        "examples": sorted(installed().recipes),
    }
    properties[SCHEMA] = {"type": "string", "description": "Where the schema is; for editors."}
    branches = []
    for name in sorted(installed().accelerators):
        definitions |= _of_accelerator(installed().accelerators[name])
        branches.append({"$ref": REFERENCE.format(model=name)})
    properties["accelerators"]["items"] = {
        "type": "object",
        "required": ["use"],
        "discriminator": {"propertyName": "use"},
        "oneOf": branches,
    }
    return {
        "$schema": DIALECT,
        "title": "sraccel recipe",
        "description": "Which accelerators, with which options, in which order.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


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
