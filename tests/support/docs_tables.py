"""The tables of the documentation that must agree with the code.

A page marks one by `<!-- table: NAME -->` and `<!-- end -->`. Most are written from the
code: `python tests/support/docs_tables.py` puts them into their pages.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import families_overview
import typer
from annotated_types import Ge, Gt, Le, Lt
from families_overview import pipeline
from faults import FAULTY
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tiny import BLOCK_STACKS, TinyFamily
from typer.models import OptionInfo, ParamMeta
from typer.utils import get_params_from_function

import sraccel
from sraccel import plugin
from sraccel.accelerators.feedback import Feedback
from sraccel.accelerators.forecast import ForecastPredictor
from sraccel.accelerators.sageattention import SageAttention
from sraccel.accelerators.schedule import Schedule
from sraccel.accelerators.srdiffusion import SRDiffusion
from sraccel.accelerators.steps import Steps
from sraccel.accelerators.teacache import TeaCache
from sraccel.accelerators.teacache.published import PUBLISHED
from sraccel.accelerators.teacache.rule import Variant
from sraccel.cli import app
from sraccel.cli.plugins import _options
from sraccel.cli.plugins import _type_name as _type_name_of_option
from sraccel.loop.claims import BY_HOOK, CLAIMS
from sraccel.loop.denoiser_adapter import DenoiserAdapter
from sraccel.loop.edition import CHANGES
from sraccel.loop.hookspecs import Discovery, Loop
from sraccel.models.known_pairs import EVIDENCE, HANDOFFS, PAIRS
from sraccel.plugin import Accelerator, Sampling
from sraccel.recipe.catalogue import installed
from sraccel.recipe.recipe import Recipe
from sraccel.recipes import sraccel_recipes
from sraccel.report.model import CallRecord
from sraccel.study import results as study_report
from sraccel.study.plan.plan import Plan
from sraccel.testing import INVARIANTS

DOCS = Path(__file__).parents[2] / "docs"
BUILT_IN: list[type[Accelerator]] = [
    SRDiffusion,
    TeaCache,
    SageAttention,
    ForecastPredictor,
    Schedule,
    Feedback,
    Steps,
]
TABLE = r"(<!-- table: {} -->\n)(.*?)(<!-- end -->)"


def table(page: str, name: str) -> str:
    """The text of a marked table."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(TABLE.format(re.escape(name)), text, re.DOTALL)
    assert found, f"{page} has no table {name!r}"
    return found[2]


def rows(page: str, name: str) -> list[list[str]]:
    """The cells of a marked table, without its heading."""
    lines = table(page, name).strip().splitlines()[2:]
    cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


def markdown(headings: str, rows: Iterable[Sequence[str]]) -> str:
    """A table; its headings are separated by bars."""
    lines = [f"| {headings} |", "|" + "---|" * (headings.count("|") + 1)]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join([*lines, ""])


def options_table(accelerator: type[Accelerator]) -> str:
    """All options of an accelerator, as `sraccel plugins NAME` lists them, and their ranges."""
    rows = []
    for option in _options(accelerator):
        default = "required" if option["required"] else f"`{_yaml(option['default'])}`"
        kind = option["type"] + _range(accelerator.Options.model_fields[option["name"]])
        rows.append((f"`{option['name']}`", kind, default, option["description"]))
    return markdown("option | type | default | meaning", rows)


def _range(field: FieldInfo) -> str:
    """The numbers that are allowed: `, at least 0`."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = (asdict(item) for item in field.metadata if isinstance(item, (Ge, Gt, Le, Lt)))
    return "".join(f", {words[name]} {value}" for one in limits for name, value in one.items())


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def sampling_table() -> str:
    """The keys of `sampling`."""
    fields = Sampling.model_fields.items()
    return markdown(
        "key | type | meaning",
        [
            (f"`{name}`", _type_name_of_option(field.annotation), field.description or "")
            for name, field in fields
        ],
    )


def study_table() -> str:
    """The keys of a study file's section `study`."""
    rows = []
    for name, field in Plan.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "none" if default in (None, [], {}) else f"`{_yaml(default)}`"
        rows.append((f"`{name}`", shown, field.description or ""))
    return markdown("key | default | meaning", rows)


def study_report_reference() -> str:
    """Every part of a study's report, with the keys of its JSON."""
    parts = [value for value in vars(study_report).values() if _is_part(value)]
    return "\n".join(_part_of_study(part) for part in reversed(parts))


def _is_part(value: object) -> bool:
    own = isinstance(value, type) and value.__module__ == study_report.__name__
    return own and issubclass(value, BaseModel) and bool(value.model_fields)


def _part_of_study(part: type[BaseModel]) -> str:
    about = (inspect.getdoc(part) or "").replace("\n\n", "\0").replace("\n", " ").split("\0")
    keys = [
        (f"`{name}`", _spoken_type(field.annotation), field.description or name.replace("_", " "))
        for name, field in part.model_fields.items()
    ]
    text = [f"### {part.__name__}", "", *(f"{paragraph}\n" for paragraph in about)]
    return "\n".join([*text, markdown("key | type | meaning", keys)])


def _spoken_type(annotation: Any) -> str:
    """`list of Pair`, `Estimate by text`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if len(_union(annotation)) > 1:
        return " or ".join(map(_spoken_type, _union(annotation)))
    if origin in (list, tuple):
        return f"list of {_spoken_type(inner[0])}"
    if origin is dict:
        return f"{_spoken_type(inner[1])} by name"
    if annotation is Any:
        return "any"
    name = _type_name(annotation)
    return {"str": "text", "int": "whole number", "float": "number"}.get(name, name)


def recipes_table() -> str:
    """The recipes that come with sraccel."""
    own = {path.stem for path in sraccel_recipes()}
    rows = [(f"`{name}`", str(Recipe.load(name).description)) for name in sorted(own)]
    return markdown("recipe | what for", rows)


def pairs_table() -> str:
    """All known pairs, as `sraccel pairs` lists them."""
    rows = []
    for pair in PAIRS:
        known = f"{pair.known} *Not verified:* {pair.unverified}" if pair.unverified else pair.known
        models = (f"`{pair.sketch}`", f"`{pair.render}`", f"`{pair.family}`")
        rows.append((*models, pair.handoff, pair.evidence, known, pair.source))
    headings = "sketch | render | family | hand-off | evidence | what is known | source"
    return markdown(headings, rows)


def families_table() -> str:
    """The families whose blocks a cache can skip, as the adapters and the tests know them."""
    headings = (
        "family | model classes | decides by | the residual ends at | always computed "
        "| pipelines that the tests drive"
    )
    rows = []
    by_family: dict[str, list[TinyFamily]] = {}
    for tiny in BLOCK_STACKS:
        by_family.setdefault(tiny.family, []).append(tiny)
    adapters = {adapter.family: adapter for adapter in installed().adapters}
    for family in sorted(by_family):
        adapter, pipelines = adapters[family], [pipeline(tiny) for tiny in by_family[family]]
        models = [type(pipe.transformer).__name__ for pipe in pipelines]
        blocks = by_family[family][0].blocks
        cells = (
            f"`{family}`",
            _names(models),
            _decides_by(adapter),
            f"the input of `{blocks.tail}`" if blocks and blocks.tail else "the last block",
            _forced(Variant.PLAIN, family) + _forced_in_retention(adapter),
            _names([type(pipe).__name__ for pipe in pipelines]),
        )
        rows.append(cells)
    return markdown(headings, rows)


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _decides_by(adapter: DenoiserAdapter) -> str:
    plain = adapter.modulated_inputs[0].replace("_", " ")
    retention = Variant.RETENTION.modulated_input(adapter)
    return plain if retention is None else f"{plain}; retention: {retention.replace('_', ' ')}"


def _forced(variant: Variant, family: str) -> str:
    forced = variant.forced_steps(family)
    first = "the first step" if forced.first == 1 else f"the first {forced.first} steps"
    if forced.first_share:
        first = f"the first {forced.first_share:.0%} of the steps"
    return first + (" and the last" if forced.last else "")


def _forced_in_retention(adapter: DenoiserAdapter) -> str:
    has_it = Variant.RETENTION.modulated_input(adapter) is not None
    return f"; retention: {_forced(Variant.RETENTION, adapter.family)}" if has_it else ""


def coefficients_table() -> str:
    """All published coefficients, and what a model's configuration must hold."""
    rows = []
    for entry in PUBLISHED:
        variants = [variant.value for variant in Variant if entry.values(variant) is not None]
        known_by = [f"`{key}: {_yaml(value)}`" for key, value in entry.config.items()]
        if entry.latent_area:
            known_by.append(f"latents of about {entry.latent_area} positions a frame, or its name")
        names = (f"`{entry.model}`", f"`{entry.family}`")
        rows.append((*names, ", ".join(variants), ", ".join(known_by), entry.source))
    return markdown("model | family | variants | recognised by | source", rows)


def words_table(words: Mapping[str, str]) -> str:
    """Words of the pairs' table and what they mean."""
    return markdown("word | meaning", words.items())


def commands_reference() -> str:
    """Every command, its arguments and its options, as `--help` has them."""
    return "\n".join(_command(path, function) for path, function in sorted(_commands(app)))


def _commands(group: typer.Typer, path: str = "sraccel") -> Iterator[tuple[str, Any]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{path} {command.name or command.callback.__name__}", command.callback
    for subgroup in group.registered_groups:
        assert subgroup.typer_instance is not None
        yield from _commands(subgroup.typer_instance, f"{path} {subgroup.name}")


def _command(path: str, function: Any) -> str:
    parameters = list(get_params_from_function(function).values())
    rows = []
    for parameter in parameters:
        names = ", ".join(f"`{name}`" for name in _parameter_names(parameter))
        meaning = " ".join((parameter.default.help or "").split())
        rows.append((names, _parameter_type(parameter), _parameter_default(parameter), meaning))
    options = markdown("argument or option | type | default | meaning", rows)
    usage = " ".join([path, *filter(None, map(_usage, parameters))])
    return f"### {path}\n\n    {usage}\n\n{inspect.getdoc(function) or ''}\n\n{options}"


def _parameter_names(parameter: ParamMeta) -> list[str]:
    info: Any = parameter.default
    if not isinstance(info, OptionInfo):
        return [info.metavar or parameter.name.upper()]
    if info.param_decls:
        metavar = f" {info.metavar}" if info.metavar else ""
        return [f"{name}{metavar}" for name in info.param_decls]
    name = parameter.name.replace("_", "-")
    return [f"--{name}", f"--no-{name}"] if parameter.annotation is bool else [f"--{name}"]


def _usage(parameter: ParamMeta) -> str:
    """What must be given, and arguments; options that may be left out: empty."""
    required, name = _is_required(parameter), _parameter_names(parameter)[0]
    if name.startswith("-"):
        return f"{name} ..." if required else ""
    return name if required else f"[{name}]"


def _is_required(parameter: ParamMeta) -> bool:
    return parameter.default.default in (..., inspect.Parameter.empty)


def _parameter_type(parameter: ParamMeta) -> str:
    if parameter.annotation is bool:
        return "flag"
    (kind,) = [part for part in _union(parameter.annotation) if part is not NoneType]
    if get_origin(kind) is list:
        return f"{_type_name(get_args(kind)[0])}, repeatable"
    name = "path" if kind is Path else _type_name(kind)
    least = parameter.default.min
    return name if least is None else f"{name}, at least {least}"


def _parameter_default(parameter: ParamMeta) -> str:
    default = parameter.default.default
    if _is_required(parameter):
        return "required"
    if parameter.annotation is bool:
        return "on" if default else "off"
    return "" if default is None else f"`{default}`"


def hooks_reference(owner: type) -> str:
    """Every hook of a set: its signature, and what it is for."""
    sections = []
    for name in (name for name in vars(owner) if not name.startswith("_")):
        signature = inspect.signature(getattr(owner, name))
        parameters = list(signature.parameters.values())[1:]
        given = ", ".join(f"{one.name}: {one.annotation}" for one in parameters)
        about = inspect.getdoc(getattr(owner, name)) or ""
        code = f"    {name}({given}) -> {signature.return_annotation}"
        sections.append(f"### {name}\n\n{code}\n\n{about}\n")
    return "\n".join(sections)


def python_table() -> str:
    """The whole Python interface: each name, a function's arguments, and its first sentence."""
    rows = []
    for path in python_names():
        found: Any = pkgutil.resolve_name(path)
        named = inspect.isclass(found) or inspect.isroutine(found)
        about = (inspect.getdoc(found) if named else _text_below(path)) or ""
        rows.append((f"`{path}{_arguments(found)}`", " ".join(about.partition("\n\n")[0].split())))
    return markdown("name | what it is", rows)


def python_names() -> list[str]:
    """What the page documents, and all else that is exported, errors included; each once."""
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    documented = re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)
    exported = [f"{home.__name__}.{name}" for home in (sraccel, plugin) for name in home.__all__]
    paths: dict[int, str] = {}
    for path in (*documented, *exported):
        found = pkgutil.resolve_name(path)
        if not inspect.ismodule(found):
            paths.setdefault(id(found), path)
    return list(paths.values())


def _text_below(path: str) -> str:
    """The text under an assignment: what a constant or an alias has for a docstring."""
    package, _, name = path.rpartition(".")
    exporter = ast.parse(inspect.getsource(pkgutil.resolve_name(package)))
    (home,) = [
        node.module
        for node in ast.walk(exporter)
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}
    ]
    body = ast.parse(inspect.getsource(pkgutil.resolve_name(str(home)))).body
    for node, below in pairwise(body):
        stored = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and name in stored:
            return str(ast.literal_eval(below.value)) if isinstance(below, ast.Expr) else ""
    return ""


def _arguments(found: Any) -> str:
    """The arguments of a function, without types and defaults."""
    if not inspect.isfunction(found):
        return ""
    stars = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    given = inspect.signature(found).parameters.values()
    return f"({', '.join(stars.get(one.kind, '') + one.name for one in given)})"


def claims_table() -> str:
    """Every claim: what it says, and the hooks that make it."""
    rows = ["| claim | two accelerators would both | made by |", "|---|---|---|"]
    for name, what in CLAIMS.items():
        hooks = ", ".join(f"`{hook}`" for hook in BY_HOOK.get(name, ())) or "`claims`"
        rows.append(f"| `{name}` | {what} | {hooks} |")
    return "\n".join(rows) + "\n"


def faults_table() -> str:
    """Accelerators that do something wrong, and what the check says of each."""
    cells = [(one.kind.summary(), one.invariant, one.words) for one in FAULTY]
    return markdown("the accelerator | invariant | the check says", cells)


def editions_table() -> str:
    """What changed with each edition of the hooks."""
    rows = [(str(edition), changed) for edition, changed in sorted(CHANGES.items())]
    return markdown("edition | what changed", rows)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a model's JSON with its type: `steps[].index`, `int`."""
    for name, field in model.model_fields.items():
        if model is CallRecord and name == "evaluations":  # calls again
            yield prefix + name, "list"
        else:
            yield from _keys_of(prefix + name, field.annotation)


def _keys_of(path: str, annotation: Any) -> Iterator[tuple[str, str]]:
    inner = [part for part in _union(annotation) if part is not NoneType]
    if len(inner) == 1 and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        yield from keys(inner[0], f"{path}.")
    elif get_origin(annotation) is list:
        yield from _keys_of(f"{path}[]", get_args(annotation)[0])
    else:
        yield path, " | ".join(_type_name(part) for part in _union(annotation))


def _union(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _type_name(annotation: Any) -> str:
    if annotation is NoneType:
        return "null"
    if get_origin(annotation) is Literal:
        return " | ".join(str(value) for value in get_args(annotation))
    found: str = (get_origin(annotation) or annotation).__name__
    return found


def written() -> Iterator[tuple[str, str, str]]:
    """Every table that is written from the code: its page, its name, its text."""
    for accelerator in BUILT_IN:
        yield "reference/recipes.md", f"options {accelerator.name}", options_table(accelerator)
    yield "reference/recipes.md", "sampling", sampling_table()
    yield "reference/recipes.md", "shipped", recipes_table()
    yield "reference/studies.md", "study", study_table()
    yield "reference/studies.md", "report", study_report_reference()
    yield "reference/pairs.md", "pairs", pairs_table()
    overview = markdown(families_overview.HEADINGS, families_overview.rows(BUILT_IN))
    yield "reference/families.md", "overview", overview
    yield "reference/teacache.md", "families", families_table()
    yield "reference/teacache.md", "coefficients", coefficients_table()
    yield "reference/pairs.md", "hand-offs", words_table(HANDOFFS)
    yield "reference/pairs.md", "evidence", words_table(EVIDENCE)
    yield "reference/cli.md", "commands", commands_reference()
    yield "how-to/write-an-accelerator.md", "claims", claims_table()
    yield "reference/python.md", "python", python_table()
    yield "how-to/prove-your-accelerator.md", "faults", faults_table()
    yield (
        "how-to/prove-your-accelerator.md",
        "invariants",
        markdown("invariant | what must hold", ((f"`{k}`", v) for k, v in INVARIANTS.items())),
    )
    yield "reference/compatibility.md", "editions", editions_table()
    yield "reference/hooks.md", "loop", hooks_reference(Loop)
    yield "reference/hooks.md", "discovery", hooks_reference(Discovery)


def main() -> None:
    """Write the tables into their pages."""
    for name, marked, text in written():
        page = DOCS / name
        pattern = TABLE.format(re.escape(marked))
        content = re.sub(
            pattern,
            lambda found, text=text: found[1] + text + found[3],
            page.read_text(encoding="utf-8"),
            flags=re.DOTALL,
        )
        page.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
