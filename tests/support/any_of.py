"""Any instance of a pydantic model, for property tests: every field, whatever is added later."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import Phase
from hypothesis import strategies as st
from pydantic import BaseModel

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""No shrinking: a report has many parts, and takes minutes."""
Leaves = Mapping[Any, st.SearchStrategy[Any]]


def any_of(kind: Any, leaves: Leaves) -> st.SearchStrategy[Any]:
    """Any value of a type: a model, or what its fields hold.

    Args:
        kind: a model or an annotation.
        leaves: by type (`float`, `str`, `Any`, a model, ...) what has no parts here.
    """
    if kind in leaves:
        return leaves[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        return st.builds(kind, **{name: any_of(field.annotation, leaves) for name, field in fields})
    if kind in (None, NoneType):
        return st.none()
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is Annotated:
        return any_of(inner[0], leaves)
    parts = [any_of(part, leaves) for part in inner]
    if origin in (Union, UnionType):
        return st.one_of(parts)
    if origin is tuple:
        return st.tuples(*parts)
    return {list: st.lists, dict: st.dictionaries}[origin](*parts, max_size=4)
