"""A run to be made again: what the report or the video of it says, and what differs since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

from sraccel.errors import ModelError, RecipeError
from sraccel.files import read_text
from sraccel.recipe.catalogue import installed
from sraccel.recipe.sampling import Sampling
from sraccel.report.origin import TAG, Origin, Source
from sraccel.text import first_complaint

if TYPE_CHECKING:
    from sraccel.recipe.recipe import Recipe
    from sraccel.report.model import Report

WRITTEN_BY = "`sraccel generate` and `sraccel demo` write reports and videos that can be repeated"


class Repetition(BaseModel):
    """A run, as its report or its video records it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[2]
    recipe: dict[str, Any]
    call: dict[str, Any] = Field(description="Arguments of the pipeline's call, and the seed.")
    versions: dict[str, str]
    environment: dict[str, str]
    origin: Origin

    @property
    def seed(self) -> int:
        """Of the noise."""
        return int(self.call["seed"])

    @property
    def arguments(self) -> dict[str, Any]:
        """The pipeline's call."""
        return {name: value for name, value in self.call.items() if name != "seed"}

    @property
    def pipeline(self) -> Source:
        """The pipeline that made it."""
        return self.origin.sources[0]

    def recipe_content(self) -> dict[str, Any]:
        """The recipe as one would write it: what equals a default of today is left out.

        (Some options refuse to be given beside others, even with their default.)
        """
        return _as_given(self.recipe)

    @property
    def commits(self) -> dict[str, str]:
        """Commits of models on the hub, by the name that was given."""
        sources = self.origin.sources
        return {item.name: item.revision for item in sources if item.revision is not None}

    def pinned(self, recipe: Recipe) -> Recipe:
        """The recipe, with the models that it has from the hub at the commits of then."""
        items = [_pinned(item, self.commits) for item in recipe.accelerators]
        return recipe.model_copy(update={"accelerators": items})

    def changed(self, sources: Sequence[Source]) -> dict[str, tuple[object, object]]:
        """Models and files that are no longer what they were: then and now, by name."""
        before = {source.name: source.identity for source in self.origin.sources}
        pairs = {item.name: (before.get(item.name), item.identity) for item in sources}
        return {name: pair for name, pair in pairs.items() if None not in pair and len({*pair}) > 1}

    def check_sources(self, sources: Sequence[Source], instead: str) -> None:
        """Refuse models and files that have changed.

        Args:
            sources: those of now.
            instead: what to do about it.

        Raises:
            ModelError: naming them.
        """
        if changed := self.changed(sources):
            rows = "".join(
                f"\n  {name}: {str(then)[:12]} then, {str(now)[:12]} now"
                for name, (then, now) in changed.items()
            )
            raise ModelError(
                f"what made this video has changed since:{rows}\n{instead}",
                model=next(iter(changed)),
                differences=changed,
            )

    def differences(self, report: Report) -> list[str]:
        """What was otherwise in the recorded run than in this one, in words."""
        origin = report.origin
        assert origin is not None
        return [
            *_differing(self.versions, report.versions),
            *_differing(self.environment, report.environment),
            *_differing(_facts(self.origin), _facts(origin)),
        ]

    def same_request(self, report: Report) -> bool:
        """Whether the run was asked for the same video, by the same recipe."""
        from sraccel.recipe.recipe import Recipe

        if self.call != report.call:
            return False
        return Recipe.load(self.recipe_content()) == Recipe.load(_as_given(report.recipe))

    def same_frames(self, report: Report) -> bool | None:
        """Whether the frames are the same, bit for bit; None if they were not to be."""
        before, now = self.origin.frames_sha256, report.origin and report.origin.frames_sha256
        if before is None or now is None or not self.same_request(report):
            return None
        return before == now


def _facts(origin: Origin) -> dict[str, str]:
    facts = {source.name: (source.identity or "unknown")[:12] for source in origin.sources}
    return {**facts, "dtype": origin.dtype, "offload": origin.offload}


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            yield f"{name}: {then.get(name, 'none')} then, {now.get(name, 'none')} now"


def _as_given(recipe: Mapping[str, Any]) -> dict[str, Any]:
    items = [_without_defaults(item) for item in recipe.get("accelerators", [])]
    return {**recipe, "accelerators": items}


def _without_defaults(item: Mapping[str, Any]) -> dict[str, Any]:
    accelerator = installed().accelerators.get(str(item.get("use")))
    if accelerator is None:  # reading the recipe will say so
        return dict(item)
    fields = accelerator.Options.model_fields
    defaults = {
        name: to_jsonable_python(field.get_default(call_default_factory=True))
        for name, field in fields.items()
        if name != "use" and not field.is_required()
    }
    return {name: value for name, value in item.items() if defaults.get(name, ...) != value}


def _pinned(item: Any, commits: Mapping[str, str]) -> Any:
    """An item of a recipe, with the models that it loads at these commits."""
    loaded = {
        id(source): commits[str(source)] for source in item.models() if str(source) in commits
    }
    changes = {
        name: value.model_copy(update={"revision": loaded[id(value)]})
        for name, value in item
        if id(value) in loaded
    }
    return item.model_copy(update=changes) if changes else item


def read_repetition(path: str | Path) -> Repetition:
    """Read what made a video from its report (`.json`), or from the video itself (`.mp4`).

    Raises:
        RecipeError: there is no such file, or it does not say how it was made.
    """
    path = Path(path)
    content = _content(path)
    if not isinstance(content, dict) or content.get("origin") is None:
        raise RecipeError(f"does not say which model made it: {WRITTEN_BY}", str(path))
    try:
        repetition = Repetition.model_validate(content)
    except ValidationError as error:
        raise RecipeError(
            f"cannot be repeated: {first_complaint(error.errors())}", str(path)
        ) from None
    _check_call(repetition.call, path)
    for name, kind in (("prompt", str), ("seed", int)):
        if not isinstance(repetition.call.get(name), kind):
            raise RecipeError(f"cannot be repeated: its {name} is not known", str(path))
    return repetition


def _check_call(call: dict[str, Any], path: Path) -> None:
    """Refuse arguments that no command would have taken."""
    known = {name: value for name, value in call.items() if name in Sampling.model_fields}
    try:
        Sampling.model_validate(known, strict=True)
    except ValidationError as error:
        message = f"cannot be repeated: call.{first_complaint(error.errors())}"
        raise RecipeError(message, str(path)) from None


def _content(path: Path) -> Any:
    try:
        text = _tag(path) if path.suffix == ".mp4" else read_text(path)
        return json.loads(text)
    except OSError as error:
        raise RecipeError(f"cannot be opened: {error.strerror or error}", str(path)) from error
    except RecursionError:
        raise RecipeError("cannot be repeated: nested too deeply", str(path)) from None
    except ValueError as error:
        raise RecipeError(f"is no report: {error}", str(path)) from error


def _tag(path: Path) -> str:
    import av

    try:
        with av.open(str(path)) as container:
            text = container.metadata.get(TAG)
    except av.error.InvalidDataError as error:
        raise RecipeError("is not a video that can be read", str(path)) from error
    if text is None:
        raise RecipeError(f"does not say how it was made: {WRITTEN_BY}", str(path))
    return str(text)
