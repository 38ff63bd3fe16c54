"""Edits of JSON with comments, made in the text: what they do not name stays, to the byte.

What is added looks like its neighbours: their indentation, line ends, blanks after colons, and a comma
after the last member where they have one.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .jsonc import Child, Document, Node, Unreadable, parse

_END_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|$)")


def put(text: str, path: Sequence[str], value: Any) -> str:
    """The text with a value at a path of names; what is missing on the way there is added.

    Raises:
        Unreadable: the text is no JSON, or on the way is something else than an object.
    """
    document = parse(text)
    node = document.root
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise Unreadable(f"{_named(path[:depth])} is not an object")
        child = node.child(key)
        if child is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _added(document, node, key, value)
        node = child.node
    if node.value == value:
        return text
    style = _style(document, node)
    return text[: node.start] + style.rendered(value, node.start) + text[node.end :]


def append(text: str, path: Sequence[str], value: Any) -> str:
    """The text with one more item in the array at a path, which is made if need be.

    Raises:
        Unreadable: as for `put`; or there is no array.
    """
    document = parse(text)
    node = find(document.root, path)
    if node is None:
        return put(text, path, [value])
    if not isinstance(node.value, list):
        raise Unreadable(f"{_named(path)} is not an array")
    return _added(document, node, None, value)


def drop(text: str, path: Sequence[str]) -> str:
    """The text without the member at a path; as it is if there is none."""
    document = parse(text)
    container = find(document.root, path[:-1])
    child = None if container is None else container.child(path[-1])
    if container is None or child is None:
        return text
    return _without(document, container, container.children.index(child))


def drop_item(text: str, path: Sequence[str], index: int) -> str:
    """The text without an item of the array at a path."""
    document = parse(text)
    container = find(document.root, path)
    return text if container is None else _without(document, container, index)


def find(node: Node, path: Sequence[str]) -> Node | None:
    """The value at a path of names, if it is there."""
    for key in path:
        child = node.child(key)
        if child is None:
            return None
        node = child.node
    return node


def _named(path: Sequence[str]) -> str:
    return f'"{".".join(path)}"' if path else "the whole"


@dataclass(frozen=True, slots=True)
class _Style:
    """How a text is laid out: `unit` is None where it is all on one line."""

    text: str
    newline: str
    unit: str | None
    colon: str

    def rendered(self, value: Any, at: int) -> str:
        """A value as it is written in the line of that place."""
        if self.unit is None:
            separators = (", " if self.colon == ": " else ",", self.colon)
            return json.dumps(value, ensure_ascii=False, separators=separators)
        lines = json.dumps(value, ensure_ascii=False, indent=self.unit).split("\n")
        return (self.newline + self.indentation(at)).join(lines)

    def indentation(self, at: int) -> str:
        """The blanks that the line of a place begins with."""
        start = self.text.rfind("\n", 0, at) + 1
        found = re.compile(r"[ \t]*").match(self.text, start)
        return "" if found is None else found.group()


def _style(document: Document, node: Node) -> _Style:
    text, root = document.text, document.root
    newline = "\r\n" if "\r\n" in text else "\n"
    bare = _Style(text, newline, "", ": ")
    first = root.children[0] if root.children else None
    if first is None:
        return _Style(text, newline, "  ", ": ")
    if "\n" not in text[root.start : root.end]:
        tight = text[first.start : first.node.start].endswith(":")
        return _Style(text, newline, None, ":" if tight else ": ")
    # As far as the first member of the whole is indented, if it has a line of its own.
    deeper = bare.indentation(first.start)
    own = text[: first.start].endswith("\n" + deeper) and deeper != ""
    on_one_line = node.children and "\n" not in text[node.start : node.end]
    return _Style(text, newline, None if on_one_line else deeper if own else "  ", ": ")


def _added(document: Document, node: Node, key: str | None, value: Any) -> str:
    text, style = document.text, _style(document, node)
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + style.colon
    if not node.children:
        return _first(text, style, node, name, value)
    last = node.children[-1]
    if style.unit is None:
        gap = "" if style.colon == ":" else " "
        piece = gap + name + style.rendered(value, node.start)
        if last.comma >= 0:
            return text[: last.comma + 1] + piece + "," + text[last.comma + 1 :]
        return text[: last.end] + "," + piece + text[last.end :]
    lead = style.newline + style.indentation(last.start)
    piece = lead + name + style.rendered(value, last.start)
    if last.comma >= 0:
        return text[: node.filled] + piece + "," + text[node.filled :]
    # Comments after the last member stay where they are, behind the comma that it gets.
    return text[: last.end] + "," + text[last.end : node.filled] + piece + text[node.filled :]


def _first(text: str, style: _Style, node: Node, name: str, value: Any) -> str:
    if style.unit is None:
        return text[: node.filled] + name + style.rendered(value, node.start) + text[node.end - 1 :]
    outer = style.newline + style.indentation(node.start)
    shown = style.rendered(value, node.start).replace(style.newline, style.newline + style.unit)
    return text[: node.filled] + outer + style.unit + name + shown + outer + text[node.end - 1 :]


def _without(document: Document, container: Node, index: int) -> str:
    text, child = document.text, container.children[index]
    start = len(text[: child.start].rstrip(" \t\r\n"))
    end = child.comma + 1 if child.comma >= 0 else child.end
    ends_line = _END_OF_LINE.match(text, end) is not None
    before = container.children[index - 1] if index else None
    if child.comma < 0 and before is not None:
        # It was the last, and what is the last now has no comma either.
        kept = text[before.comma + 1 : start if ends_line else _kept(document, start, child.start)]
        return text[: before.comma] + kept + text[end:]
    if len(container.children) == 1 and not _inner(text, container, child):
        return text[: container.start + 1] + text[container.end - 1 :]
    if ends_line:
        return text[:start] + text[end:]
    return text[: child.start] + text[end:].lstrip(" \t")


def _kept(document: Document, start: int, end: int) -> int:
    """Where to go on before what stays in the line: a comment up to its end must not swallow that."""
    for begun, ended in document.comments:
        if ended == start and document.text.startswith("//", begun):
            return end
    return start


def _inner(text: str, container: Node, child: Child) -> str:
    """What else than its one child and blanks a container has."""
    end = child.comma + 1 if child.comma >= 0 else child.end
    return (text[container.start + 1 : child.start] + text[end : container.end - 1]).strip()
