"""YAML read safely: plain data, the places of its nodes, and what a recipe must not hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from sraccel.recipe.reading.complaints import STREAM_END
from sraccel.recipe.reading.extent import MOST_VALUES
from sraccel.recipe.reading.place import Location, Mark
from sraccel.text import shortened

MERGE = "tag:yaml.org,2002:merge"
SHORT = 40


@dataclass
class YamlTree:
    """Plain data and where each thing is.

    Attributes:
        problems: messages and places of what YAML allows and a recipe does not.
    """

    content: Any = None
    keys: dict[Location, Mark] = field(default_factory=dict)
    values: dict[Location, Mark] = field(default_factory=dict)
    problems: list[tuple[str, Mark]] = field(default_factory=list)


def _root(loader: yaml.SafeLoader) -> yaml.Node | None:
    """The tree of nodes; a file that ends too early is reported at the bracket that is open."""
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        if STREAM_END in (error.problem or "") and loader.marks:
            error.context_mark = loader.marks[-1]
        raise
    return node


class _Loader(yaml.SafeLoader):
    """Stops at too many nodes, and says where an impossible value stands (a 13th month, say)."""

    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.nodes += 1
        if self.nodes > MOST_VALUES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            message = f"this holds more than {MOST_VALUES:,} values"
            raise yaml.constructor.ConstructorError(None, None, message, mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            raise _refusal(_no_value(node, error), node) from None


def _no_value(node: yaml.ScalarNode, error: Exception) -> str:
    kind = node.tag.rpartition(":")[2]
    text = shortened(node.value, SHORT)
    why = f": {error}" if isinstance(error, ValueError) and len(node.value) <= SHORT else ""
    return f"{text!r} is no possible {kind}{why} (text goes into quotes)"


def read_tree(text: str) -> YamlTree:
    """Read one YAML document; tags that would make anything but plain data are refused.

    Raises:
        yaml.YAMLError: it is malformed, or a value cannot be (a 13th month, say).
    """
    tree = YamlTree()
    loader = _Loader(text)
    try:
        node = _root(loader)
        if node is None:
            return tree
        _check_size(node)
        _find_doubles(node, tree, set())
        tree.content = _textual(loader.construct_document(node))
        _place(node, (), tree, loader)
    finally:
        loader.dispose()
    return tree


def _check_size(root: yaml.Node) -> None:
    """Refuse a tree that holds itself, or that aliases make huge, before anyone walks it."""
    sizes: dict[int, int] = {}
    entered: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in entered:
            raise _refusal("this holds itself (an alias inside of its anchor)", node)
        entered.add(id(node))
        total = 1 + sum(size(child) for child in _children(node))
        if total > MOST_VALUES:
            raise _refusal(f"this holds more than {MOST_VALUES:,} values", node)
        sizes[id(node)] = total
        return total

    size(root)


def _refusal(message: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _find_doubles(node: yaml.Node, tree: YamlTree, seen: set[int]) -> None:
    """Note keys that a mapping gives twice: YAML would silently take the last."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        known: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in known and key.tag != MERGE:
                first = known[name].start_mark.line + 1
                message = f"the key {key.value!r} is given twice, first in line {first}"
                tree.problems.append((message, _mark(key)))
            known.setdefault(name, key)
    for child in _children(node):
        _find_doubles(child, tree, seen)


def _textual(content: Any) -> Any:
    """The content with text for every key, as TOML and JSON have it."""
    if isinstance(content, dict):
        return {_name(key): _textual(value) for key, value in content.items()}
    return [_textual(item) for item in content] if isinstance(content, list) else content


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(key)


def _place(node: yaml.Node, where: Location, tree: YamlTree, loader: yaml.SafeLoader) -> None:
    """Note where the nodes are. After construction: merged mappings (`<<`) are in place then."""
    tree.values[where] = _mark(node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = _name(loader.construct_object(key, deep=True))
            tree.keys[(*where, name)] = _mark(key)
            _place(value, (*where, name), tree, loader)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _place(item, (*where, index), tree, loader)


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
