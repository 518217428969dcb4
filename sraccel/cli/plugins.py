"""`sraccel plugins`: what is installed, what failed to import, and an accelerator's options."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sraccel.cli.failures import Debug, reported

if TYPE_CHECKING:
    from sraccel.loop.accelerator import Accelerator
    from sraccel.recipe.catalogue import Catalogue


def plugins(
    name: Annotated[
        str | None, typer.Argument(help="An accelerator, to see its options and defaults.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix",
            help="Which go together: composes each pair with the demo pair, in both orders.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """List what a recipe can name, where it comes from, and what failed to import."""
    with reported(debug):
        from sraccel.recipe.catalogue import installed

        catalogue = installed()
        if matrix:
            from sraccel.cli.plugins_matrix import show_matrix

            show_matrix(sorted(catalogue.accelerators), as_json)
        elif name is None:
            described = describe(catalogue)
            _print_json(described) if as_json else _print_catalogue(described)
        else:
            one = _describe_one(catalogue, name)
            _print_json(one) if as_json else _print_one(one)


def describe(catalogue: Catalogue) -> dict[str, Any]:
    """Everything that is installed, as plain data."""
    return {
        "accelerators": [_row(catalogue, name) for name in sorted(catalogue.accelerators)],
        "metrics": sorted(catalogue.metrics),
        "scores": sorted(catalogue.scores),
        "recipes": sorted(catalogue.recipes),
        "families": sorted(adapter.family for adapter in catalogue.adapters),
        "failed": [
            {
                "plugin": plugin.name,
                "distribution": plugin.distribution,
                "error": f"{type(plugin.error).__name__}: {plugin.error}",
            }
            for plugin in catalogue.plugins
            if plugin.error is not None
        ],
    }


def _row(catalogue: Catalogue, name: str) -> dict[str, Any]:
    from sraccel.loop.claims import claims_of

    accelerator = catalogue.accelerators[name]
    hooks = _hooks(accelerator)
    brought_by = (item.name for item in catalogue.plugins if name in item.accelerators)
    return {
        "name": name,
        "summary": accelerator.summary(),
        "plugin": next(brought_by, None),
        "distribution": catalogue.origin(name),
        "claims": [claim.name for claim in claims_of(accelerator, hooks)],
        "families": sorted(accelerator.families) if accelerator.families is not None else None,
        "hooks": hooks,
    }


def _hooks(accelerator: type[Accelerator]) -> list[str]:
    """The loop hooks that it implements, in the order in which a run asks."""
    from sraccel.loop.hooks import HOOKS, is_implemented

    return [name for name in HOOKS if is_implemented(accelerator, name)]


def _describe_one(catalogue: Catalogue, name: str) -> dict[str, Any]:
    try:
        accelerator = catalogue.accelerator(name)
    except KeyError:
        known = ", ".join(sorted(catalogue.accelerators)) or "none"
        raise typer.BadParameter(
            f"no accelerator is called {name!r} (installed: {known})"
        ) from None
    return {**_row(catalogue, name), "options": list(_options(accelerator))}


def _options(accelerator: type[Accelerator]) -> Iterator[dict[str, Any]]:
    for name, field in accelerator.Options.model_fields.items():
        if name != "use":
            yield {
                "name": name,
                "type": _type_name(field.annotation),
                "required": field.is_required(),
                "default": None if field.is_required() else _plain(field.get_default()),
                "description": field.description or "",
            }


def _type_name(annotation: Any) -> str:
    """A type as a recipe's author reads it: `auto | triton`, `float | null`, `int`."""
    if annotation is type(None):
        return "null"
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " | ".join(str(part) for part in parts)
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(_type_name(part) for part in parts)
    if get_origin(annotation) is Annotated:
        return _type_name(parts[0])
    if isinstance(annotation, type) and not parts:
        return annotation.__name__
    if isinstance(get_origin(annotation), type):
        return f"{get_origin(annotation).__name__}[{', '.join(map(_type_name, parts))}]"
    return str(annotation).replace("typing.", "")


def _plain(value: Any) -> Any:
    return (
        value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)
    )


def _print_json(data: dict[str, Any]) -> None:
    typer.echo(json.dumps(data, indent=2))


def _print_catalogue(data: dict[str, Any]) -> None:
    console = Console()
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("accelerator", "what it does", "from", "claims and hooks"):
        rows.add_column(heading, overflow="fold")
    for item in data["accelerators"]:
        rows.add_row(
            Text(item["name"], style="bold"),
            Text(item["summary"]),
            Text(_from(item)),
            Text("\n".join([f"claims {claim}" for claim in item["claims"]] + item["hooks"])),
        )
        rows.add_section()
    console.print(rows if data["accelerators"] else "no accelerators installed")
    for label in ("families", "metrics", "scores", "recipes"):
        console.print(Text(f"\n{label}: ", style="bold").append(_listed(data[label]), "not bold"))
    for failure in data["failed"]:
        console.print(_failure(failure))
    console.print("\n`sraccel plugins NAME` lists an accelerator's options.")


def _from(item: dict[str, Any]) -> str:
    return str(item["distribution"]) + (f"\nplugin {item['plugin']}" if item["plugin"] else "")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _failure(failure: dict[str, str]) -> Text:
    where = f"{failure['plugin']} ({failure['distribution']})"
    return Text(f"\ncannot be imported: {where}: {failure['error']}", style="red")


def _print_one(data: dict[str, Any]) -> None:
    console = Console(highlight=False)
    families = "every family" if data["families"] is None else _listed(data["families"])
    console.print(Text(data["name"], style="bold").append(f"  {data['summary']}", "not bold"))
    console.print(Text(f"from {data['distribution']}, for {families}"))
    if not data["options"]:
        console.print("It has no options.")
    for option in data["options"]:
        default = "required" if option["required"] else f"default {json.dumps(option['default'])}"
        heading = Text(f"\n{option['name']}", style="bold")
        console.print(heading.append(f"  {option['type']}, {default}", "not bold"))
        console.print(Padding(Text(option["description"]), (0, 0, 0, 4)))
