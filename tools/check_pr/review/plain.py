"""Text of a pull request as data: nothing in it that a reader cannot see, or that reorders what one sees."""

import re
from typing import Any, cast

from ... import _text

# Widthless signs, separators that begin lines, marks of direction, and the tag block, in which a whole
# message can be hidden from people and not from models.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028\u2029\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def plain(text: str, limit: int = 4000) -> str:
    """The text without control characters, escapes and what cannot be seen, `limit` characters at most."""
    return _text.cut(_INVISIBLE.sub("", _text.clean(text)), limit).text


def one_line(text: str, limit: int = 500) -> str:
    """The text as one line: whatever separates lines is a space."""
    shown = " ".join(plain(text, 20 * limit).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def all_plain(data: Any, limit: int) -> Any:
    """JSON data with every text in it plain, names of fields and keys included."""
    if isinstance(data, str):
        return plain(data, limit)
    if isinstance(data, list):
        return [all_plain(each, limit) for each in cast(list[Any], data)]
    if isinstance(data, dict):
        items = cast(dict[str, Any], data).items()
        return {plain(key, limit): all_plain(each, limit) for key, each in items}
    return data
