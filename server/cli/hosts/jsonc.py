"""JSON with comments and trailing commas, read into a tree that knows where in the text everything stands.

Hosts accept what people write by hand, and people want it back as they wrote it: so the text is edited,
in `jsonc_edits`, and never written anew from its values.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_WORD = re.compile(
    r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)(?!\w)"
)
_DEEPEST = 200


class Unreadable(Exception):
    """A text is not what it should be; the message says what is wrong, and in which line."""


@dataclass(frozen=True, slots=True)
class Child:
    """A member of an object (`key` is its name) or an item of an array, from `start` to `end` in the text.

    `comma` is where the comma after it stands, -1 if there is none.
    """

    key: str
    start: int
    node: "Node"
    comma: int

    @property
    def end(self) -> int:
        return self.node.end


@dataclass(frozen=True, slots=True)
class Node:
    """A value from `start` to `end`. `filled` is where what stands before the closing bracket ends."""

    start: int
    end: int
    value: Any
    children: tuple[Child, ...] = ()
    filled: int = 0

    def child(self, key: str) -> Child | None:
        """The member of that name.

        Raises:
            Unreadable: there are several, and hosts differ in which of them counts.
        """
        if not isinstance(self.value, dict):
            return None
        found = [child for child in self.children if child.key == key]
        if len(found) > 1:
            raise Unreadable(f'"{key}" is there {len(found)} times')
        return found[0] if found else None

    def strings(self) -> Iterator["Node"]:
        """Every string in it that is no name."""
        if isinstance(self.value, str):
            yield self
        for child in self.children:
            yield from child.node.strings()


@dataclass(frozen=True, slots=True)
class Document:
    """A whole text: its value, and from where to where its comments go."""

    text: str
    root: Node
    comments: tuple[tuple[int, int], ...]


# An edit looks at the same text many times, and Claude Code's may have megabytes.
@lru_cache(maxsize=8)
def parse(text: str) -> Document:
    """Read a text.

    Raises:
        Unreadable: it is no JSON, even with comments and trailing commas.
    """
    reader = _Reader(text)
    reader.skip()
    root = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        raise reader.error("there is more after the end")
    return Document(text, root, tuple(reader.comments))


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    comments: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def error(self, what: str) -> Unreadable:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        return Unreadable(f"line {line}, column {column}: {what}")

    def skip(self) -> int:
        """Go past blanks and comments; where the last comment ends, or where it began."""
        filled = self.at
        while True:
            self.at = _blank(self.text, self.at)
            if self.text[self.at : self.at + 1] != "/":
                return filled
            if self.text.startswith("//", self.at):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                end -= self.text[self.at : end].endswith("\r")
            elif self.text.startswith("/*", self.at):
                end = self.text.find("*/", self.at + 2) + 2
                if end < 2:
                    raise self.error("a comment does not end")
            else:
                return filled
            self.comments.append((self.at, end))
            self.at = filled = end

    def value(self, depth: int) -> Node:
        start, sign = self.at, self.text[self.at : self.at + 1]
        if sign in ("{", "["):
            if depth >= _DEEPEST:
                raise self.error("it is nested too deeply")
            return self._container(start, "}" if sign == "{" else "]", depth + 1)
        found = (_STRING if sign == '"' else _WORD).match(self.text, start)
        if found is None:
            raise self.error("a value is missing" if sign else "it ends too early")
        return Node(start, self._past(found), self._read(found))

    def _container(self, start: int, closing: str, depth: int) -> Node:
        self.at += 1
        children: list[Child] = []
        while True:
            filled = self.skip()
            if self.text.startswith(closing, self.at):
                break
            if children and children[-1].comma < 0:
                raise self.error(f"a comma or {closing} is missing")
            children.append(self._child(closing, depth))
        self.at += 1
        value: Any = (
            {child.key: child.node.value for child in children}
            if closing == "}"
            else [child.node.value for child in children]
        )
        return Node(start, self.at, value, tuple(children), filled)

    def _child(self, closing: str, depth: int) -> Child:
        start, key = self.at, ""
        if closing == "}":
            found = _STRING.match(self.text, self.at)
            if found is None:
                raise self.error("a name in double quotes is missing")
            self._past(found)
            key = self._read(found)
            self.skip()
            if not self.text.startswith(":", self.at):
                raise self.error("a colon is missing")
            self.at += 1
            self.skip()
        node = self.value(depth)
        before, noted = self.at, len(self.comments)
        self.skip()
        if self.text.startswith(",", self.at):
            self.at += 1
            return Child(key, start, node, self.at - 1)
        # What follows belongs to whoever asks next.
        self.at = before
        del self.comments[noted:]
        return Child(key, start, node, -1)

    def _past(self, found: re.Match[str]) -> int:
        self.at = found.end()
        return self.at

    def _read(self, found: re.Match[str]) -> Any:
        try:
            return json.loads(found.group())
        except ValueError:
            self.at = found.start()
            raise self.error("a string has an escape that does not exist") from None


def _blank(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
