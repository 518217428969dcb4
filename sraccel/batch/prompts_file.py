"""A file of prompts as JSON lines: `{"id": "cat-1", "prompt": "a cat", "seed": 3}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from sraccel.errors import Problem, RecipeError
from sraccel.recipe.sampling import Sampling
from sraccel.text import plain_complaint

ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
LONGEST_ID = 100
"""So that files can be named after it everywhere."""


class PromptLine(Sampling):
    """A line of the file; beside `id`, `prompt` and `seed`, arguments of the pipeline's call."""

    id: str = Field(
        pattern=f"^{ID}$", max_length=LONGEST_ID, description="Names the files; once in the file."
    )
    prompt: str = Field(min_length=1, description="What to show.")
    seed: int | None = Field(None, ge=0, description="Of the noise. Default: the command's.")


@dataclass(frozen=True)
class PromptJob:
    """One video to be made.

    Attributes:
        id: of the prompt; names the files.
        call: arguments of the pipeline's call.
        seed: of the noise.
    """

    id: str
    call: dict[str, Any]
    seed: int

    @property
    def request(self) -> dict[str, Any]:
        """What is asked for, as a report records it."""
        return {**self.call, "seed": self.seed}


def read_jobs(path: Path, call: dict[str, Any], seed: int) -> list[PromptJob]:
    """The videos that a file asks for.

    Args:
        path: the file; empty lines don't count.
        call: arguments of the call that a line may go over.
        seed: where a line gives none.

    Raises:
        RecipeError: with every line that is wrong, or the file is not there or empty.
    """
    problems: list[Problem] = []
    jobs: dict[str, PromptJob] = {}
    first: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            given = PromptLine.model_validate(json.loads(line))
        except ValidationError as error:
            problems += [_problem(path, number, one) for one in error.errors()]
        except ValueError as error:
            problems.append(Problem("", f"not JSON: {error}", file=str(path), line=number))
        else:
            if given.id in jobs:
                message = f"the id {given.id!r} is in line {first[given.id]} already"
                problems.append(Problem("id", message, file=str(path), line=number))
            first.setdefault(given.id, number)
            jobs.setdefault(given.id, _job(given, call, seed))
    if problems:
        raise RecipeError(problems)
    if not jobs:
        raise RecipeError([Problem("", "holds no prompts: one a line, as JSON", file=str(path))])
    return list(jobs.values())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError([Problem("", "is no text in UTF-8", file=str(path))]) from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise RecipeError([Problem("", reason, file=str(path))]) from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def _problem(path: Path, number: int, error: Any) -> Problem:
    where = ".".join(map(str, error["loc"]))
    given = None if error["type"] == "missing" else repr(error["input"])
    return Problem(where, plain_complaint(error["msg"]), given=given, file=str(path), line=number)


def _job(line: PromptLine, call: dict[str, Any], seed: int) -> PromptJob:
    own = {name: value for name, value in line.arguments().items() if name not in ("id", "seed")}
    return PromptJob(line.id, {**call, **own}, seed if line.seed is None else line.seed)
