"""The rooms of the code (the packages directly under sraccel/): what they are for, what they share.

`python tests/support/rooms.py` writes their table into CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sraccel"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
TABLE = re.compile(r"(?<=<!-- rooms -->\n).*?(?=<!-- end -->)", re.DOTALL)


def rooms() -> list[str]:
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def loose_modules() -> list[str]:
    return sorted(path.stem for path in PACKAGE.glob("*.py"))


def members(room: str) -> set[str]:
    """The modules and packages directly in a room."""
    inside = (PACKAGE / room).iterdir()
    return {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()}


def docstring(room: str) -> str:
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or ""


def offered(room: str) -> set[str]:
    """The modules that the docstring names: `Others use: a, b.`, or quoted, with more words."""
    found = re.search(r"Others use: (.*?)(?:\n\n|\Z)", docstring(room), re.DOTALL)
    text = found[1] if found else ""
    return {
        name.partition(".")[0]
        for name in re.findall(r"`([\w.]+)`", text) or re.findall(r"\w+", text)
    }


@cache
def imports() -> frozenset[tuple[str, str, str, bool]]:
    """Who imports from which other room or loose module; which module of it; for typing only."""
    return frozenset(
        (who, *found)
        for path in PACKAGE.rglob("*.py")
        for who in [path.relative_to(PACKAGE).with_suffix("").parts[0]]
        for found in _imported(path)
        if found[0] not in (who, "")
    )


def _imported(path: Path) -> Iterator[tuple[str, str, bool]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, room, module, *_ = [*name.split("."), "", ""]
            if package == "sraccel":
                inside = room in rooms() and module in members(room)
                yield room, module if inside else "", node in typing


def used(room: str) -> set[str]:
    """The modules of a room that are imported from outside it."""
    return {module for _, where, module, _ in imports() if where == room} - {""}


def table() -> str:
    """A row a room: what it is for, as its docstring begins, and where it imports from."""
    rows = ["| room | what it is for | imports from |", "|---|---|---|"]
    for room in rooms():
        purpose = docstring(room).partition("\n")[0]
        sources = {f"`{where}`" for who, where, _, typed in imports() if who == room and not typed}
        rows.append(f"| `{room}` | {purpose} | {', '.join(sorted(sources))} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    CONTRIBUTING.write_text(TABLE.sub(lambda _: table(), CONTRIBUTING.read_text("utf-8")), "utf-8")
