"""JSON of which nothing else is known, as lists in lists: a report of another version, for one."""

from typing import Any, cast

from .markup import Html, Part, tag
from .parts import block, left_out, line

_DEPTH = 8
_ITEMS = 100


def tree(data: Any, depth: int = 0) -> Part:
    """What the data say, as far as somebody would read it."""
    if isinstance(data, str):
        return block(data, "", folded=False) if "\n" in data or len(data) > 300 else data
    if isinstance(data, dict) and depth < _DEPTH:
        return _named(cast(dict[str, Any], data), depth)
    if isinstance(data, list) and depth < _DEPTH:
        every = cast(list[Any], data)
        shown = [tag("li", tree(one, depth + 1)) for one in every[:_ITEMS]]
        return [tag("ol", shown), left_out(len(every) - _ITEMS, "more")]
    return line(repr(cast(object, data)))


def _named(data: dict[str, Any], depth: int) -> list[Html | None]:
    shown = [
        tag("div", tag("dt", line(name.replace("_", " "), 100)), tag("dd", tree(value, depth + 1)))
        for name, value in list(data.items())[:_ITEMS]
    ]
    return [tag("dl", shown, class_="tree"), left_out(len(data) - _ITEMS, "more")]
