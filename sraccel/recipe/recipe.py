"""A recipe: which accelerators, with which options, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from sraccel.errors import Problem, RecipeError
from sraccel.loop.accelerator import AcceleratorOptions
from sraccel.recipe.catalogue import installed, resolve_options
from sraccel.recipe.reading.document import Document, is_file, not_a_file
from sraccel.recipe.reading.merged import Merged, merge, near_recipe, read_recipe
from sraccel.recipe.reading.override import override
from sraccel.recipe.reading.problems import broken_plugin, problems_of, short
from sraccel.recipe.sampling import Sampling


class Recipe(BaseModel):
    """An ordered list of accelerators. The order is the order in which hooks are asked.

    A key `include` names another recipe, whose content this one goes over: see
    `docs/reference/recipes.md`.

    Raises:
        RecipeError: on construction, with everything that is wrong at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str = Field("", description="A short name, shown in reports.")
    description: str = Field("", description="What the recipe is for.")
    model: str | None = Field(
        None,
        min_length=1,
        description="The pipeline that it is made for: a folder in diffusers' format, a name on "
        "the hub, or `demo`. `sraccel generate` takes it where no --model is given.",
    )
    sampling: Sampling = Field(
        default_factory=Sampling,
        description="Arguments of the pipeline's call that `sraccel generate` takes where no "
        "option gives them.",
    )
    flow_shift: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="The scheduler's flow shift that the settings were chosen at. `sraccel check` "
        "warns where a model's is another; nothing is changed by it.",
    )
    accelerators: list[
        Annotated[SerializeAsAny[AcceleratorOptions], BeforeValidator(resolve_options)]
    ] = Field(default_factory=list, description="The accelerators, in order.")

    @model_validator(mode="wrap")
    @classmethod
    def _with_all_problems(
        cls, data: Any, check: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Resolve `include`, and turn pydantic's errors into one with all problems."""
        if isinstance(data, cls):
            return data
        context = info.context
        if not isinstance(data, Mapping):
            raise RecipeError(
                f"a recipe is a mapping with a key 'accelerators', not {short(data)}; Recipe.load "
                f"takes files, names and lists too"
            )
        given = context if isinstance(context, Merged) else merge(Document("", data))
        merged = cls._prepared(given)
        try:
            recipe = check(merged.content)
        except ValidationError as error:
            if not merged.problems and (broken := broken_plugin(error)):
                raise broken from broken.__cause__
            raise _error(merged, problems_of(error, cls, merged)) from None
        if merged.problems:
            raise _error(merged, [])
        return recipe

    @classmethod
    def _prepared(cls, merged: Merged) -> Merged:
        """What is checked of what was given: a subclass may change it, and add problems."""
        return merged

    @field_validator("accelerators")
    @classmethod
    def _names_are_unique(cls, items: list[AcceleratorOptions]) -> list[AcceleratorOptions]:
        names = [item.use for item in items]
        again = [index for index, name in enumerate(names) if name in names[:index]]
        if again:
            errors = [_listed_again(names, index) for index in again]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return items

    @classmethod
    def load(cls, source: Any, overrides: Sequence[str] = ()) -> Self:
        """Make a recipe of a recipe, a mapping, a list of accelerators, a file or a shipped name.

        Files are YAML, TOML or JSON by their suffix. YAML is read safely: it executes nothing.

        Args:
            source: what the recipe is made of.
            overrides: as `--set` of the command line takes them: `teacache.threshold=0.15`.

        Raises:
            RecipeError: the file is missing or malformed, or the recipe is not valid.
        """
        if isinstance(source, cls) and not overrides:
            return source
        return cls.of(gather(source, overrides))

    @classmethod
    def of(cls, merged: Merged) -> Self:
        """Check content that was read; errors as `load`, each with its place."""
        return cls.model_validate(merged.content, context=merged)

    def __repr__(self) -> str:
        chain = " + ".join(item.use for item in self.accelerators) or "empty"
        return f"Recipe({self.name + ': ' if self.name else ''}{chain})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from sraccel.notebook import recipe_html

        return recipe_html(self)


def _listed_again(names: Sequence[str], index: int) -> InitErrorDetails:
    """Pydantic's error for an accelerator that is listed again, at its name."""
    name = names[index]
    text = "{quoted} is listed {count} times; once is possible"
    context = {"quoted": repr(name), "count": names.count(name)}
    kind = PydanticCustomError("listed_again", text, context)
    return InitErrorDetails(type=kind, loc=(index, "use"), input=name)


def _error(merged: Merged, problems: list[Problem]) -> RecipeError:
    """Everything that is wrong, each file's problems from its top to its bottom."""
    found = merged.problems + problems
    files = list(dict.fromkeys(problem.file for problem in found))
    found.sort(key=lambda one: (files.index(one.file), one.line or 0, one.column or 0))
    return RecipeError(found)


def gather(source: Any, overrides: Sequence[str] = ()) -> Merged:
    """The content of a recipe, before it is checked; arguments and errors as `Recipe.load`."""
    if isinstance(source, (str, Path)):
        merged = read_recipe(recipe_file(source))
    else:
        if isinstance(source, Recipe):
            source = source.model_dump(exclude_unset=True)
        content = dict(source) if isinstance(source, Mapping) else {"accelerators": source}
        merged = merge(Document("", content))
    override(merged, overrides)
    return merged


def recipe_file(source: str | Path) -> Path:
    """The file that a path or the name of a shipped recipe stands for.

    Raises:
        RecipeError: there is none.
    """
    path = Path(source)
    if is_file(path):
        return path
    recipes = installed().recipes
    if str(source) in recipes:
        return recipes[str(source)]
    if (other := not_a_file(path)) is not None:
        raise RecipeError(
            f"is {other}: a recipe is a file, or the name of a shipped one", str(path)
        )
    hint, near = near_recipe(str(source), path, recipes)
    message = (
        f"no file {str(source)!r}, and no shipped recipe of that name{hint} "
        f"(shipped: {', '.join(sorted(recipes)) or 'none'})"
    )
    raise RecipeError([Problem("", message, suggestion=near)])
