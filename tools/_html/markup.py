"""HTML made of parts. What is text is escaped here and nowhere else, and nothing else can become markup.

No template engine: no dependency of ours has one, and functions are checked for types.
"""

import re
from collections.abc import Iterable
from html import escape

from .. import _text


class Html(str):
    """Markup as it is. Only `tag` and `joined` make it."""

    __slots__ = ()


Part = str | Html | None | Iterable["Part"]
"""What a page is made of: text, markup, or several of these. None is nothing."""

_VOID = frozenset({"br", "input", "link", "meta"})
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
# Only what the page itself has: no other scheme, no other host.
_OWN = re.compile(
    r"(?![a-zA-Z][a-zA-Z0-9+.-]*:|[/\\]{2})[\x21-\x7e]*|data:image/(?:png|svg\+xml)[;,][\x21-\x7e]+"
)
_LINKS = frozenset({"href", "src", "action"})


def tag(name: str, /, *parts: Part, **attributes: str | float | bool | None) -> Html:
    """An element. Attributes are written with `_` for `-`, and at the end where Python keeps the name for itself;
    False and None leave one out, True gives it no value.

    Raises:
        ValueError: an attribute that could run or load what is not ours.
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{joined(*parts)}</{name}>")


def joined(*parts: Part) -> Html:
    """Parts one after another."""
    return Html("".join(map(_part, parts)))


def style(css: str) -> Html:
    """A style sheet of ours, in the page."""
    if "</" in css:
        raise ValueError("a style sheet must not end itself")
    return Html(f"<style>{css}</style>")


def doctype(html: Html) -> str:
    """A whole document as text."""
    return f"<!doctype html>\n{html}\n"


def _part(part: Part) -> str:
    if part is None:
        return ""
    if isinstance(part, Html):
        return str(part)
    if isinstance(part, str):
        return escape(_text.clean(part))
    return "".join(map(_part, part))


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if not _NAME.fullmatch(name) or name.lower().startswith("on") or name.lower() == "style":
        raise ValueError(f"a page has no attribute {name}")
    if value is True:
        return f" {name}"
    text = str(value)
    if name.lower() in _LINKS and not _OWN.fullmatch(text):
        raise ValueError(f"a page does not lead to {text[:100]}")
    return f' {name}="{escape(_text.clean(text))}"'
