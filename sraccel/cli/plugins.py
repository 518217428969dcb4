"""`sraccel plugins`: what is installed, what is wrong with it, and an accelerator's options."""

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
    """List what plugins bring, where it comes from, whether it can run here, and what is wrong.

    `sraccel --disable-plugin NAME plugins` leaves a plugin out, as for any command; so does the
    environment variable SRACCEL_DISABLE_PLUGINS.
    """
    with reported(debug):
        from sraccel.recipe.catalogue import installed

        catalogue = installed()
        if matrix:
            from sraccel.cli.plugins_matrix import show_matrix

            show_matrix(sorted(catalogue.accelerators), as_json)
        elif name is None:
            from sraccel.check.inventory import inventory

            described = inventory(catalogue)
            _print_json(described) if as_json else _print_catalogue(described)
        else:
            one = _describe_one(catalogue, name)
            _print_json(one) if as_json else _print_one(one)


def _describe_one(catalogue: Catalogue, name: str) -> dict[str, Any]:
    from sraccel.check.inventory import accelerator_row

    try:
        accelerator = catalogue.accelerator(name)
    except KeyError:
        known = ", ".join(sorted(catalogue.accelerators)) or "none"
        raise typer.BadParameter(
            f"no accelerator is called {name!r} (installed: {known})"
        ) from None
    return {**accelerator_row(catalogue, name), "options": list(_options(accelerator))}


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
    for label in ("families", "metrics", "scores", "recipes", "calibrations"):
        _print_list(console, label, data[label])
    for text, style in troubles(data):
        console.print(Text(f"\n{text}", style=style))
    console.print("\n`sraccel plugins NAME` lists an accelerator's options.")


def _from(item: dict[str, Any]) -> str:
    return str(item["distribution"]) + (f"\nplugin {item['plugin']}" if item["plugin"] else "")


def _print_list(console: Console, label: str, items: list[dict[str, Any]]) -> None:
    """Names by the distribution that they come from."""
    by_origin: dict[str, list[str]] = {}
    for item in items:
        by_origin.setdefault(item["distribution"], []).append(item["name"])
    console.print(Text(f"\n{label}", style="bold").append("" if items else ": none", "not bold"))
    for origin, names in by_origin.items():
        console.print(Padding(Text(f"from {origin}: {', '.join(names)}"), (0, 0, 0, 2)))


def troubles(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is not as it should be, each in one sentence, with the style to print it in."""
    from sraccel.check.inventory import LISTS

    for label in LISTS.values():
        for item in data[label]:
            for obstacle in item["obstacles"]:
                yield f"does not run here: {item['name']}: {_obstacle(obstacle)}", "yellow"
    for heavy in data["heavy_imports"]:
        yield (
            f"slow to import: {_plugin(heavy)} imports {', '.join(heavy['imports'])} when it is "
            f"imported, which took {heavy['seconds']:.1f} s and is added to every command: its "
            f"author can import them inside functions",
            "yellow",
        )
    for fault in data["faults"]:
        what = "" if fault["what"] == "plugin" else f"{fault['what']} cannot be used: "
        yield f"{_plugin(fault)}: {what}{fault['message']}", "red"
    for plugin in data["disabled"]:
        yield f"switched off: {_plugin(plugin)}", "yellow"


def _plugin(item: dict[str, Any]) -> str:
    return f"{item['plugin']} ({item['distribution']})"


def _obstacle(obstacle: dict[str, str]) -> str:
    reason, remedy = obstacle["reason"], obstacle["remedy"]
    return f"{reason}; what would help: {remedy}" if remedy else reason


def _print_one(data: dict[str, Any]) -> None:
    console = Console(highlight=False)
    families = "every family" if data["families"] is None else ", ".join(data["families"])
    console.print(Text(data["name"], style="bold").append(f"  {data['summary']}", "not bold"))
    console.print(Text(f"from {data['distribution']}, for {families}"))
    for obstacle in data["obstacles"]:
        console.print(Text(f"does not run here: {_obstacle(obstacle)}", style="yellow"))
    if not data["options"]:
        console.print("It has no options.")
    for option in data["options"]:
        default = "required" if option["required"] else f"default {json.dumps(option['default'])}"
        heading = Text(f"\n{option['name']}", style="bold")
        console.print(heading.append(f"  {option['type']}, {default}", "not bold"))
        console.print(Padding(Text(option["description"]), (0, 0, 0, 4)))
