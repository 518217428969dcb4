"""What a command line gives of a study, over what its file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sraccel.recipe.reading.document import Document
from sraccel.recipe.reading.merged import Merged
from sraccel.recipe.reading.override import KEYS, RefusedError, assign, locate, override, read_value
from sraccel.recipe.recipe import gather
from sraccel.study.plan.sweep import STUDY, SWEEP, flatten, split_sweep


def gather_study(
    source: Any, overrides: Sequence[str], options: Mapping[str, Any] | None = None
) -> Merged:
    """The content of a study, before it is checked, with what a command line gives over it.

    Args:
        source: a study, a recipe, a file, a mapping, a name.
        overrides: of several values (`srdiffusion.threshold=0.01,0.02`) a sweep is made; a single
            one ends that option's sweep.
        options: keys of the section `study`; None is not given.

    Raises:
        RecipeError: a file cannot be read.
    """
    merged = gather(source)
    if merged.content.get(STUDY) is None:
        merged.content[STUDY] = {}
    for name, value in (options or {}).items():
        # What is no section at all stays as it is, for the check to refuse.
        if value is not None and not isinstance(merged.content[STUDY], list | str | int | float):
            _put_option(merged, name, value)
    for text in overrides:
        _put_override(merged, text)
    return merged


def _put_option(merged: Merged, name: str, value: Any) -> None:
    """An option of the command line, as if a file said so."""
    if name in ("seeds", "plain_steps") and isinstance(value, str):
        value = [_whole(part.strip()) for part in value.split(",")]
    if isinstance(value, Path):
        value = str(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = list(value)
    document = Document("--" + name.replace("_", "-"), None)
    assign(merged, (STUDY, name), value, document)


def _whole(text: str) -> int | str:
    """The number; what is none stays, for the check to refuse."""
    return int(text) if text.isdecimal() else text


def _put_override(merged: Merged, text: str) -> None:
    """A value, which ends a sweep of that option; or several that are swept."""
    path, values = split_sweep(text)
    swept = _swept(merged)
    if len(values) == 1 or path in KEYS:
        override(merged, [text])
        swept.pop(path, None)
        return
    document = Document(f"--set {text}", None)
    try:
        location, given = locate(merged, path), [read_value(value) for value in values]
        if location is not None:
            where = location if location[0] == STUDY else (*SWEEP, path)
            assign(merged, where, given, document)
    except RefusedError as refused:
        merged.problems.append(refused.problem(document))


def _swept(merged: Merged) -> dict[str, Any]:
    """The lists of values by option, as far as there are any; may be changed."""
    plan = merged.content[STUDY]
    sweep = plan.get("sweep") if isinstance(plan, dict) else None
    if not isinstance(sweep, dict):
        return {}
    flatten(merged)
    return sweep
