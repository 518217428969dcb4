"""A sweep: several values for options of a recipe, and what the recipe says of each."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from sraccel.errors import PluginError, Problem, RecipeError
from sraccel.recipe.reading.document import Document
from sraccel.recipe.reading.merged import Merged
from sraccel.recipe.reading.override import RefusedError, assign, locate
from sraccel.recipe.reading.place import Location
from sraccel.recipe.reading.problems import path_of, short, unknown_key
from sraccel.recipe.recipe import Recipe

STUDY = "study"
SWEEP = (STUDY, "sweep")
MOST_CELLS = 256
SWEPT = ("accelerators", "sampling")
FRAMES = ("height", "width", "num_frames")
"""Arguments of the call that decide how many frames of what size there are."""
Settings = Mapping[str, Any]
"""A value by `NAME.OPTION`."""


def split_sweep(text: str) -> tuple[str, list[str]]:
    """Path and values of a `--set`: several where commas stand outside of brackets and quotes.

    They are split as YAML splits a list. What is none is left whole, for the reading to refuse.
    """
    path, _, value = text.partition("=")
    listed = f"[{value}]"
    try:
        node = yaml.compose(listed, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        node = None
    if not isinstance(node, yaml.SequenceNode) or len(node.value) < 2:
        return path.strip(), [value]
    parts = [listed[part.start_mark.index : part.end_mark.index] for part in node.value]
    return path.strip(), [part.strip() for part in parts]


def combinations(sweep: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every value of each option with every one of the others."""
    for values in itertools.product(*sweep.values()):
        yield dict(zip(sweep, values, strict=True))


def named(settings: Settings) -> str:
    """`srdiffusion.threshold=0.01, teacache.threshold=0.1`."""
    return ", ".join(f"{path}={_text(value)}" for path, value in settings.items())


def _text(value: Any) -> str:
    """A value as YAML in one line; text that would be read as something else in quotes."""
    if isinstance(value, str) and not set(value) & set(",=\n"):
        try:
            if yaml.safe_load(value) == value:
                return value
        except (yaml.YAMLError, ValueError):
            pass
    return json.dumps(value, default=repr, ensure_ascii=False)


def with_settings(base: Merged, settings: Settings) -> Merged:
    """A recipe's content with other values.

    Raises:
        RefusedError: an option has no such part.
    """
    made = base.copy()
    for path, value in settings.items():
        assign(made, locate(made, path), value, Document("", None))
    return made


def flatten(merged: Merged) -> None:
    """Name every swept option by its whole path.

    TOML, and `--set study.sweep.teacache.threshold=[0.1, 0.2]`, make mappings of mappings.
    """
    sweep = merged.content[STUDY]["sweep"]
    nested = {key: value for key, value in sweep.items() if isinstance(value, dict) and value}
    for key in nested:
        del sweep[key]
    for where, value in _leaves(nested):
        document, there = merged.origin((*SWEEP, *where))
        merged.put((*SWEEP, ".".join(map(str, where))), value, document, there)


def _leaves(content: Mapping[str, Any], above: Location = ()) -> Iterator[tuple[Location, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def problems_of_sweep(merged: Merged) -> list[Problem]:
    """What is wrong with the options that are swept and with their values; each with its place."""
    return list(_Sweep.of(merged).problems())


@dataclass
class _Sweep:
    """A sweep that is being checked.

    Attributes:
        merged: the whole study.
        base: the recipe in it.
        known: path and message of what is wrong with that already.
        values: those of each option that has a list of them.
    """

    merged: Merged
    base: Merged
    known: set[tuple[str, str]]
    values: dict[str, list[Any]]

    @classmethod
    def of(cls, merged: Merged) -> _Sweep:
        base = merged.copy()
        base.problems = []
        sweep = base.content.pop(STUDY)["sweep"]
        lists = {path: given for path, given in sweep.items() if isinstance(given, (list, tuple))}
        values = {str(path): list(given) for path, given in lists.items()}
        known = {(problem.path, problem.message) for problem in _problems_in(base)}
        return cls(merged, base, known, values)

    def problems(self) -> Iterator[Problem]:
        wrong = [problem for path in self.values for problem in self._of_option(path)]
        count = math.prod(len(values) for values in self.values.values())
        if wrong:
            yield from wrong
        elif count > MOST_CELLS:
            message = f"these are {count} combinations; at most {MOST_CELLS} are run: sweep fewer"
            yield self._placed(Problem("", message), SWEEP)
        else:
            yield from self._of_combinations()

    def _of_option(self, path: str) -> Iterator[Problem]:
        """Of one option: is there one, and does it take each of the values."""
        try:
            location = locate(self.base, path)
            refused = None if location is None else _not_swept(location, self.base)
        except RefusedError as error:
            refused = Problem("", str(error), suggestion=error.suggestion)
        if refused is not None:
            yield self._placed(refused, (*SWEEP, path), key=True)
            return
        if location is not None:
            for index, value in enumerate(self.values[path]):
                for problem in self._of_value(path, location, value):
                    shown = replace(problem, given=short(value))
                    yield self._placed(shown, (*SWEEP, path, index))

    def _of_value(self, path: str, location: Location, value: Any) -> list[Problem]:
        """Of one value, the other options being what the recipe says."""
        if value is None and location[0] == "sampling":
            return [Problem("", "the pipeline's default is what it is without: give a value")]
        found = self._new({path: value})
        if len(self.values) == 1:
            return found
        # What contradicts other options may not do so with their other values.
        own = path_of(location)
        return [problem for problem in found if not problem.path or problem.path.startswith(own)]

    def _of_combinations(self) -> Iterator[Problem]:
        """Of values that are right one by one: the first that are wrong together."""
        if len(self.values) < 2:
            return
        wrong = [(one, found) for one in combinations(self.values) if (found := self._new(one))]
        if wrong:
            settings, (problem, *_) = wrong[0]
            more = f" (and so for {len(wrong) - 1} more)" if wrong[1:] else ""
            message = f"{named(settings)}: {problem.message}{more}"
            yield self._placed(replace(problem, message=message, given=None), SWEEP)

    def _new(self, settings: Settings) -> list[Problem]:
        """What is wrong with these values and not without them."""
        try:
            found = _problems_in(with_settings(self.base, settings))
        except RefusedError as refused:
            found = [Problem("", str(refused), suggestion=refused.suggestion)]
        return [one for one in found if (one.path, one.message) not in self.known]

    def _placed(self, problem: Problem, location: Location, *, key: bool = False) -> Problem:
        file, mark = self.merged.place(location, key=key)
        line, column = mark or (None, None)
        return replace(problem, path=path_of(location), file=file, line=line, column=column)


def _problems_in(merged: Merged) -> list[Problem]:
    try:
        Recipe.of(merged)
    except RecipeError as error:
        return error.problems
    except PluginError as error:  # of the recipe itself it is reported elsewhere
        return [Problem("", str(error))]
    return []


def _not_swept(location: Location, base: Merged) -> Problem | None:
    """Why an option cannot be swept."""
    if location[0] not in SWEPT:
        return Problem("", "a sweep changes options of accelerators, and `sampling`")
    if location[0] == "sampling" and location[1] in FRAMES:
        message = "frames of another size or number cannot be compared with those of the bare run"
        return Problem("", message)
    found = unknown_key(location, Recipe, base.content)
    return None if found is None else Problem("", found[0], suggestion=found[1])
