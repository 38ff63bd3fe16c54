"""Pair the fences of Markdown: where a block begins, where it ends, and what its container adds."""

import re
from dataclasses import dataclass

from . import info as infos
from .info import Info
from .snippet import Problem
from .source import Lines, outdent, width

# Possessive throughout: a line of many markers must not be tried in every way.
LEAD = r"(?P<lead>[ \t]*+(?:(?:>[ \t]?+|[-*+:][ \t]++|\d{1,9}+[.)][ \t]++)[ \t]*+)*+)"
FENCE = re.compile(LEAD + r"(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
_BARE = re.compile(r"[ \t]*(?P<fence>`{3,}|~{3,}|:{3,})[ \t]*$")
_QUOTE = re.compile(r"[ \t]*>[ \t]?")
_DOCUMENTS = frozenset({"md", "markdown", "mdx", "rst", "myst", "text", ""})


@dataclass(frozen=True, slots=True)
class Fence:
    """An opening fence: its characters, the quotes around it, its indentation inside them, its info."""

    mark: str
    quotes: int
    indent: int
    info: Info

    def closes(self, text: str) -> bool:
        """Whether a line, its quote marks removed, ends this fence."""
        match = _BARE.match(text)
        if match is None or not match["fence"].startswith(self.mark):
            return False
        return width(text[: match.start("fence")]) < self.indent + 4


def opened(match: re.Match[str], info: Info) -> Fence:
    """Return the fence that a line opens."""
    lead = match["lead"]
    inner = lead.rpartition(">")[2]
    if ">" in lead and inner[:1] in {" ", "\t"}:
        inner = inner[1:]
    return Fence(match["fence"], lead.count(">"), width(inner), info)


def _unquote(text: str, depth: int) -> str | None:
    """Remove quote marks; None when the quote has ended."""
    for _ in range(depth):
        match = _QUOTE.match(text)
        if match is None:
            return None
        text = text[match.end() :]
    return text


def close(lines: Lines, start: int, fence: Fence) -> tuple[int, int, bool]:
    """Return where the body ends, where to go on, and whether there was a closing fence."""
    strict = fence.info.language not in _DOCUMENTS
    nested = 0
    fallback: int | None = None
    character = fence.mark[:3]
    texts = lines.texts
    for index in range(start + 1, len(texts)):
        text = texts[index]
        if fence.quotes:
            unquoted = _unquote(text, fence.quotes)
            if unquoted is None:
                return (fallback, fallback + 1, True) if fallback else (index, index, False)
            text = unquoted
        if character not in text:
            continue
        if fence.closes(text):
            if not nested:
                return index, index + 1, True
            nested -= 1
            fallback = fallback or index
        elif (match := FENCE.match(text)) and match["fence"].startswith(character):
            if not match["info"].strip():
                fallback = fallback or index
            elif match["fence"] == fence.mark and _opens(match, fence):
                if strict:
                    return (fallback, fallback + 1, True) if fallback else (index, index, False)
                nested += fence.info.language in {"md", "markdown", "mdx"}
    if fallback:
        return fallback, fallback + 1, True
    return len(lines), len(lines), False


def _opens(match: re.Match[str], fence: Fence) -> bool:
    # A language that we know, no deeper than the open fence: the author forgot to close that one.
    info = infos.parse(match["info"])
    named = info.language in infos.KNOWN or bool(info.directive)
    return named and "`" not in match["info"] and width(match["lead"]) < fence.indent + 4


def unclosed(lines: Lines, index: int, fence: Fence) -> Problem:
    """Return the problem that a fence without an end is."""
    name = fence.info.language or "code"
    return Problem(
        "unclosed_fence",
        lines.position(index),
        f"This {name} block is never closed: add a line {fence.mark} where it ends.",
    )


def body_of(lines: Lines, start: int, stop: int, fence: Fence) -> Lines:
    """Return the lines inside a fence without what their container puts in front of them."""
    if not fence.quotes and not fence.indent:
        return lines.part(start, stop)
    texts: list[str] = []
    offsets: list[int] = []
    for index in range(start, stop):
        whole = lines.texts[index]
        text = (_unquote(whole, fence.quotes) or "") if fence.quotes else whole
        if fence.indent:
            text, _ = outdent(text, fence.indent)
        texts.append(text)
        offsets.append(lines.offsets[index] + len(whole) - len(text))
    return Lines(lines.file, texts, lines.numbers[start:stop], offsets)
