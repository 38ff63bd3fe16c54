"""Edits of TOML, made in the text: what they do not name stays, to the byte.

`tomllib` says whether the text is TOML and what it means; here it is only parted into statements, of which each
is TOML by itself.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .jsonc import Unreadable

Path = tuple[str, ...]

_COMMENT = re.compile(r"#[^\n]*")
# What a bracket or the end of a line means nothing in.
_QUOTED = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or a key with its value, from the start of its line; what it means is at `path`.

    It is over at `end`, and the line, with a comment perhaps, at `line_end`.
    """

    start: int
    end: int
    line_end: int
    table: Path
    path: Path

    @property
    def is_header(self) -> bool:
        return self.table == self.path


def load(text: str) -> dict[str, Any]:
    """What a text means.

    Raises:
        Unreadable: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unreadable(str(error) or "it is nested too deeply") from None


def append_table(text: str, path: Sequence[str], values: dict[str, Any]) -> str:
    """The text with a table more at its end.

    Raises:
        Unreadable: the text is no TOML, or cannot have that table by a header.
    """
    load(text)
    newline = _newline(text)
    lines = [f"[{'.'.join(map(_key, path))}]", *(_line(*item) for item in values.items())]
    gap = "" if not text.strip() else newline if text.endswith("\n") else newline * 2
    appended = text + gap + "".join(line + newline for line in lines)
    try:
        load(appended)
    except Unreadable:
        raise Unreadable(
            f"{path[0]} is written in braces, and so not extended by a table"
        ) from None
    return appended


def put(text: str, table: Sequence[str], key: str, value: Any) -> str:
    """The text with a value in a table that has a header.

    Raises:
        Unreadable: the text is no TOML, or the table has no header.
    """
    inside = tuple(table)
    own = [each for each in statements(text) if each.table == inside]
    if not own or not own[0].is_header:
        raise Unreadable(f"{'.'.join(table)} is there, but not under a header of its own")
    for each in own:
        if each.path == (*inside, key) and not each.is_header:
            start = _past_equals(text, each.start)
            return text[:start] + _value(value) + text[each.end :]
    at = own[-1].line_end
    newline = _newline(text)
    begun = "" if text[:at].endswith("\n") else newline
    return text[:at] + begun + _line(key, value) + newline + text[at:]


def drop(text: str, path: Sequence[str]) -> str:
    """The text without a table and what is below it, or without a key."""
    gone = [each for each in statements(text) if each.path[: len(path)] == tuple(path)]
    for each in reversed(gone):
        before, after = text[: each.start], text[each.line_end :]
        newline = _newline(text)
        # The blank line that stood before a table goes with it.
        if each.is_header and before.endswith(newline * 2) and after[:1] in ("", "\r", "\n"):
            before = before[: -len(newline)]
        text = before + after
    return text


def statements(text: str) -> Iterator[Statement]:
    """The headers and the keys of a text, in their order."""
    load(text)
    table: Path = ()
    at = 0
    while at < len(text):
        start, end = at, _end_of_value(text, at)
        line_end = text.find("\n", end) + 1 or len(text)
        at = line_end
        said = text[start:end].strip()
        if not said or said.startswith("#"):
            continue
        path = _path(tomllib.loads(said))
        if said.startswith("["):
            table = path
            yield Statement(start, end, line_end, table, table)
        else:
            yield Statement(start, end, line_end, table, (*table, *path))


def _end_of_value(text: str, at: int) -> int:
    depth, end = 0, at
    while at < len(text):
        found = _QUOTED.match(text, at)
        if found is not None:
            at = end = found.end()
        elif text[at] == "#":
            comment = _COMMENT.match(text, at)
            at = at + 1 if comment is None else comment.end()
        elif text[at] == "\n" and depth == 0:
            break
        else:
            depth += (text[at] in "[{") - (text[at] in "]}")
            at += 1
            end = end if text[at - 1].isspace() else at
    return end


def _path(meaning: dict[str, Any]) -> Path:
    path: list[str] = []
    inner: Any = meaning
    while True:
        if isinstance(inner, list):
            inner = cast(list[Any], inner)[-1] if inner else None
        if not isinstance(inner, dict) or len(cast(dict[str, Any], inner)) != 1:
            return tuple(path)
        ((key, inner),) = cast(dict[str, Any], inner).items()
        path.append(key)


def _past_equals(text: str, at: int) -> int:
    found = re.compile(r"[^=]*=[ \t]*").match(text, at)
    return at if found is None else found.end()


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line(key: str, value: Any) -> str:
    return f"{_key(key)} = {_value(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, cast(list[Any], value))) + "]"
    if isinstance(value, dict):
        inside = ", ".join(_line(*item) for item in cast(dict[str, Any], value).items())
        return "{ " + inside + " }"
    # A number or a string of JSON is one of TOML, but for one control character.
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
