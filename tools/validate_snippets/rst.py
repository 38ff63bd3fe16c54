"""Find code in reStructuredText and in docstrings: directives, `::` blocks and `>>>` in running text."""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import doctests, includes
from . import info as infos
from .blocks import Block, Event, Remark, resolve
from .directive import BadDirective
from .includes import Reader
from .marks import from_comment, from_options
from .snippet import Kind, Mark, Problem
from .source import Lines, dedent

DIRECTIVE_LANGUAGES: dict[str, str] = {
    "testcode": "python",
    "testsetup": "python",
    "testcleanup": "python",
    "jupyter-execute": "python",
    "ipython": "python",
    "code-cell": "python",
    "doctest": "pycon",
    "testoutput": "output",
    "prompt": "bash",
}
_LANGUAGE_ARGUMENT = frozenset(
    {
        "code-block",
        "code",
        "sourcecode",
        "prompt",
        "invisible-code-block",
        "invisible-code",
        "highlight",
    }
)
_DIRECTIVE = re.compile(
    r"(?P<indent>[ \t]*)\.\.[ \t]+(?P<name>[A-Za-z][\w:+-]*?)\s?::(?:[ \t]+(?P<argument>.*))?$"
)
_COMMENT = re.compile(r"(?P<indent>[ \t]*)\.\.[ \t]+(?P<text>\S.*)$")
_SKIP = re.compile(r"[ \t]*\.\.[ \t]+(?P<text>skip\s*:.*|clear-namespace\b.*)$")
_INVISIBLE = re.compile(
    r"(?P<indent>[ \t]*)\.\.[ \t]+(?P<name>invisible-code(?:-block)?):[ \t]*(?P<argument>\w+)[ \t]*$"
)
_OPTION = re.compile(r"\s*:(?P<name>[\w-]+):\s*(?P<value>.*)$")
_INTERESTING = re.compile(r"\.\.[ \t]|>>>|::\s*$|In ?\[\d*\]:")
_LITERAL = re.compile(r".*::\s*$")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a document is read with: its path for includes, and the reader of included files."""

    document: str
    reader: Reader | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The file's lines that a directive takes up, and what its author said in front of it."""

    first: int
    last: int
    marks: tuple[Mark, ...] = ()


def scan(lines: Lines, dialect: Dialect) -> list[Event]:
    """Return the blocks, remarks and problems of a document, in order."""
    events: list[Event] = []
    index = 0
    language = ""
    interesting = _INTERESTING.search
    texts = lines.texts
    while index < len(texts):
        if not interesting(texts[index]):
            index += 1
            continue
        if named := _highlight(texts[index]):
            language = named
        found = step(lines, index, dialect) or _literal(lines, index, language)
        if found:
            events += found[0]
            index = found[1]
        else:
            index += 1
    return events


def step(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    """Read what begins at a line, None if nothing does; used for docstrings too."""
    for reader in _READERS:
        if found := reader(lines, index, dialect):
            return found
    return None


def hidden(line: int) -> tuple[Mark, ...]:
    """Return the marks of code that readers of the page do not see: it sets up what follows."""
    return Mark("hidden", "", line, "hidden block"), Mark("setup", "", line, "hidden block")


def is_python(code: str) -> bool:
    """Whether a text parses as Python."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _highlight(text: str) -> str:
    match = _DIRECTIVE.match(text)
    if match is None or match["name"] not in {"highlight", "highlightlang"}:
        return ""
    return infos.language_name((match["argument"] or "none").split()[0])


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _body_end(lines: Lines, start: int, indent: int) -> int:
    """Return the index after the last line with text that is indented deeper than `indent`."""
    end = index = start
    while index < len(lines):
        text = lines.texts[index]
        if text.strip():
            if _indent(text) <= indent:
                break
            end = index + 1
        index += 1
    return end


def _directive(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    match = _DIRECTIVE.match(lines.texts[index]) or _INVISIBLE.match(lines.texts[index])
    if match is None:
        return None
    name, argument = match["name"].lower(), (match["argument"] or "").strip()
    if name not in DIRECTIVE_LANGUAGES and name not in _LANGUAGE_ARGUMENT | {"literalinclude"}:
        return None
    if name == "highlight":
        return [], index + 1
    stop = _body_end(lines, index + 1, len(match["indent"]))
    options, body_start = _options(lines, index + 1, stop)
    body = dedent(lines.part(body_start, stop))
    first, last = lines.numbers[index], lines.numbers[max(index, stop - 1)]
    marks = from_options(name, argument, options, first)
    if name.startswith("invisible"):
        marks += hidden(first)
    if name == "literalinclude":
        place = Place(first, last, marks)
        return literal_include(
            argument, options, place, dialect, lines.part(index, index + 1)
        ), stop
    language = DIRECTIVE_LANGUAGES.get(name, "")
    if name in _LANGUAGE_ARGUMENT:
        language = infos.language_name(argument.split()[0]) if argument else language
    kinds: dict[str, Kind] = {"testsetup": "setup", "testcleanup": "cleanup"}
    info = f"{name}:: {argument}".strip()
    block = Block(language, body, first, last, info, marks, kinds.get(name))
    return resolve(block, dialect.document, dialect.reader), max(stop, index + 1)


def _options(lines: Lines, start: int, stop: int) -> tuple[dict[str, str], int]:
    options: dict[str, str] = {}
    index = start
    while index < stop and (match := _OPTION.match(lines.texts[index])):
        options[match["name"]] = match["value"].strip()
        index += 1
    while index < stop and not lines.texts[index].strip():
        index += 1
    return options, index


def literal_include(
    path: str, options: Mapping[str, str], place: Place, dialect: Dialect, pointer_line: Lines
) -> list[Event]:
    """Return the block that a `literalinclude` stands for."""
    language = options.get("language") or path.rpartition(".")[2]
    pointer = includes.literal_include(path, options)
    found = includes.follow(pointer, dialect.document, dialect.reader)
    if "diff" in options:
        return []
    block = Block(
        infos.language_name(language),
        pointer_line,
        place.first,
        place.last,
        f"literalinclude:: {path}",
        place.marks,
        unresolved="" if isinstance(found, Lines) else path,
        included=(found,) if isinstance(found, Lines) else None,
    )
    if isinstance(found, Lines):
        return [block]
    return [Problem(found.kind, pointer_line.position(0), found.message), block]


def _comment(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    text = lines.texts[index]
    match = _SKIP.match(text) or _COMMENT.match(text)
    if match is None or (_DIRECTIVE.match(text) and not _SKIP.match(text)):
        return None
    content = match["text"].replace("::", ":", 1) if _SKIP.match(text) else match["text"]
    line = lines.numbers[index]
    try:
        marks = from_comment(content, line)
    except BadDirective as error:
        return [Problem("bad_directive", lines.position(index), str(error))], index + 1
    indent = _indent(text)
    stop = _body_end(lines, index + 1, indent)
    if not marks:
        # A comment or a target hides what is indented below it.
        ordinary = match.re is _COMMENT and not match["text"].startswith(("_", "[", "|"))
        return ([], max(stop, index + 1)) if ordinary else None
    if stop > index + 1 and any(mark.name in {"setup", "cleanup"} for mark in marks):
        body = dedent(lines.part(_next_text(lines, index + 1) or stop, stop))
        last = lines.numbers[stop - 1]
        said = (*marks, Mark("hidden", "", line))
        return [Block("python", body, line, last, text.strip(), said)], stop
    return [Remark(marks)], index + 1


def examples(lines: Lines, index: int) -> tuple[list[Event], int]:
    """Return the examples that begin at a line: up to the next paragraph without a prompt."""
    indent = _indent(lines.texts[index])
    stop = index + 1
    cursor = stop
    while cursor < len(lines):
        text = lines.texts[cursor]
        if not text.strip():
            following = _next_text(lines, cursor)
            if following is None or not doctests.has_prompt(lines.texts[following]):
                break
            if _indent(lines.texts[following]) != indent:
                break
            cursor = following
            continue
        if _indent(text) < indent:
            break
        cursor += 1
        stop = cursor
    body = dedent(lines.part(index, stop))
    first, last = lines.numbers[index], lines.numbers[stop - 1]
    return [Block("pycon", body, first, last, "", (), fenced=False)], stop


def _next_text(lines: Lines, index: int) -> int | None:
    return next((i for i in range(index, len(lines)) if lines.texts[i].strip()), None)


def _examples(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    return examples(lines, index) if doctests.has_prompt(lines.texts[index]) else None


def _literal(lines: Lines, index: int, language: str) -> tuple[list[Event], int] | None:
    """Read the literal block after a paragraph that ends in `::`, where its language is said.

    Sphinx shows such a block as Python unless told otherwise, and most hold something else. So one
    without prompts counts only below `.. highlight:: python`, and only if it parses.
    """
    if language not in {"python", "pycon"} or not _LITERAL.match(lines.texts[index]):
        return None
    start = _next_text(lines, index + 1)
    if (
        start is None
        or start == index + 1
        or _indent(lines.texts[start]) <= _indent(lines.texts[index])
    ):
        return None
    stop = _body_end(lines, start, _indent(lines.texts[index]))
    body = dedent(lines.part(start, stop))
    if doctests.has_prompt(body.texts[0]) or not is_python(body.text):
        return None
    block = Block("python", body, lines.numbers[index], lines.numbers[stop - 1], "::")
    return [block], stop


_READERS: tuple[Callable[[Lines, int, Dialect], tuple[list[Event], int] | None], ...] = (
    _directive,
    _comment,
    _examples,
)
