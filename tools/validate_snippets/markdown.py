"""Find code in Markdown, MDX and MyST by looking at lines, not by parsing the document.

A CommonMark parser takes code in admonitions, tabs and JSX for indented text and loses up to 15 % of
the blocks of well-known documentation. So a fence counts wherever it stands, behind any list marker,
quote or indentation.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import fences, rst
from . import info as infos
from .blocks import Block, Event, Remark, resolve
from .directive import BadDirective
from .doctests import PROMPT
from .includes import Reader, find
from .marks import from_comment, from_info, from_options
from .snippet import Mark, Problem
from .source import Lines, dedent

_ESCAPED = re.compile(r"[ \t>]*(?:\\`){3}|[ \t>]*\\(?:```|~~~)")
# Every alternative begins with a plain character: then the regex engine skips to it, line by line.
_INTERESTING = re.compile(
    r"```|~~~|:::|<!--|\{/\*|>>>|\{\*|\{!|8<-|% *(?:proofbox|skip|;|clear-|invisible-|group)|\\`"
    r"|\{\{\s*code_block|\{\{\s*#|<<<"
)
_COMMENT = re.compile(fences.LEAD + r"(?P<opening><!--|\{/\*)")
_CLOSING = {"<!--": "-->", "{/*": "*/}"}
# Lines; without an end a comment is text, and looking for the end must not cost the square of the file.
_LONGEST_COMMENT = 500
_OPTION = re.compile(r":(?P<name>[\w-]+):\s*(?P<value>.*)$")
_HIDDEN_DIRECTIVE = re.compile(
    r";?\s*(?:invisible-code-block|invisible-code)\s*:\s*(?P<language>[\w-]+)"
)
_MACRO = re.compile(r"\s*\{\{\s*code_block\s*\(")
_CODE_DIRECTIVES = frozenset(rst.DIRECTIVE_LANGUAGES) | {
    "code",
    "code-block",
    "sourcecode",
    "parsed-literal",
    "literalinclude",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a document is read with: its path for includes, and the reader of included files."""

    document: str
    reader: Reader | None = None


def scan(lines: Lines, dialect: Dialect) -> list[Event]:
    """Return the blocks, remarks and problems of a document, in order."""
    events: list[Event] = []
    index = 0
    interesting = _INTERESTING.search
    for candidate in [number for number, text in enumerate(lines.texts) if interesting(text)]:
        if candidate < index:
            continue  # in what was read already
        for reader in _READERS:
            if found := reader(lines, candidate, dialect):
                new, index = found
                events += new
                break
    return events


def _fence(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    match = fences.FENCE.match(lines.texts[index])
    if match is None or (match["fence"][0] == "`" and "`" in match["info"]):
        return None
    info = infos.parse(match["info"])
    if match["fence"][0] == ":" and info.directive not in _CODE_DIRECTIVES:
        return None
    fence = fences.opened(match, info)
    stop, resume, closed = fences.close(lines, index, fence)
    body = fences.body_of(lines, index + 1, stop, fence)
    events: list[Event] = []
    if not closed:
        events.append(fences.unclosed(lines, index, fence))
    first, last = lines.numbers[index], lines.numbers[max(index, resume - 1)]
    return [*events, *_content(body, fence, first, last, dialect)], resume


def _content(
    body: Lines, fence: fences.Fence, first: int, last: int, dialect: Dialect
) -> list[Event]:
    info = fence.info
    if info.directive == "eval-rst":
        return rst.scan(body, rst.Dialect(dialect.document, dialect.reader))
    if info.directive and info.directive not in _CODE_DIRECTIVES:
        # A MyST container, like `{note}`: its body is Markdown.
        return scan(body, dialect)
    marks = from_info(info, first)
    if info.directive:
        options, body = _options(body)
        if info.directive == "literalinclude":
            where = rst.Place(first, last, marks)
            # The directive itself stands for the code; it seldom has lines of its own.
            pointer = body if len(body) else Lines(body.file, [info.argument], [first], [0])
            return rst.literal_include(
                info.argument,
                options,
                where,
                rst.Dialect(dialect.document, dialect.reader),
                pointer,
            )
        marks += from_options(info.directive, info.argument, options, first)
    language = info.language or rst.DIRECTIVE_LANGUAGES.get(info.directive, "")
    body = dedent(body) if language in {"python", "pycon"} else body
    block = Block(language, body, first, last, info.raw, marks)
    return resolve(block, *_where(dialect))


def _where(dialect: Dialect) -> tuple[str, Reader | None]:
    return dialect.document, dialect.reader


def _options(body: Lines) -> tuple[dict[str, str], Lines]:
    """Split the options from a MyST directive: `:name: value` lines, or YAML between `---` lines."""
    options: dict[str, str] = {}
    index = 0
    texts = body.texts
    if texts and texts[0].strip() == "---":
        index = 1
        while index < len(texts) and texts[index].strip() != "---":
            name, _, value = texts[index].partition(":")
            options[name.strip()] = value.strip()
            index += 1
        return options, body.part(min(index + 1, len(texts)), len(texts))
    while index < len(texts) and (match := _OPTION.match(texts[index].strip())):
        options[match["name"]] = match["value"].strip()
        index += 1
    while options and index < len(texts) and not texts[index].strip():
        index += 1
    return options, body.part(index, len(texts))


def _comment(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    text = lines.texts[index]
    if match := _COMMENT.match(text):
        closing = _CLOSING[match["opening"]]
        start = match.end()
        stop = index
        rest = text[start:]
        limit = min(len(lines), index + _LONGEST_COMMENT)
        while closing not in rest and stop + 1 < limit:
            stop += 1
            rest = lines.texts[stop]
        if closing not in rest:
            return None
        inner = _comment_texts(lines.part(index, stop + 1), start, rest.index(closing))
        return _remark(inner, lines, index, dialect), stop + 1
    if text.lstrip().startswith("%") and len(text.lstrip()) > 1:
        inner = Lines(lines.file, [text.lstrip()[1:]], *_place(lines, index))
        return _remark(inner, lines, index, dialect), index + 1
    return None


def _place(lines: Lines, index: int) -> tuple[range, list[int]]:
    number = lines.numbers[index]
    return range(number, number + 1), [lines.offsets[index]]


def _comment_texts(body: Lines, start: int, end: int) -> Lines:
    texts = list(body.texts)
    offsets = list(body.offsets)
    if len(texts) == 1:
        texts[0] = texts[0][start : start + end]
    else:
        texts[0] = texts[0][start:]
        texts[-1] = texts[-1][:end]
        # Sybil's comments may end in `--->`.
        if not texts[-1].strip("- \t"):
            texts[-1] = ""
    offsets[0] += start
    return Lines(body.file, texts, body.numbers, offsets)


def _remark(inner: Lines, lines: Lines, index: int, dialect: Dialect) -> list[Event]:
    first = inner.texts[0].strip().strip("-").strip()
    line = lines.numbers[index]
    if match := _HIDDEN_DIRECTIVE.match(first):
        return _hidden(inner, infos.language_name(match["language"]), (), line)
    whole = len(inner) == 1 or not any(t.strip() for t in inner.texts[1:])
    text = first if whole or first.startswith("proofbox") else " ".join(inner.texts)
    if first.startswith("pytest-codeblocks"):
        text = first
    try:
        marks = from_comment(text, line)
    except BadDirective as error:
        return [Problem("bad_directive", lines.position(index), str(error))]
    if whole or not marks:
        return [Remark(marks)] if marks else []
    fences = [e for e in scan(inner.part(1, len(inner)), dialect) if isinstance(e, Block)]
    if fences:
        return [Remark(marks), *(_hide(block) for block in fences)]
    return _hidden(inner, "python", marks, line)


def _hide(block: Block) -> Block:
    return replace(block, marks=(*block.marks, *rst.hidden(block.first)))


def _hidden(inner: Lines, language: str, marks: tuple[Mark, ...], line: int) -> list[Event]:
    body = inner.part(1, len(inner))
    while len(body) and not body.texts[-1].strip():
        body = body.part(0, len(body) - 1)
    if not len(body):
        return []
    marks = (*marks, *rst.hidden(line))
    return [Block(language, dedent(body), line, inner.numbers[-1], inner.texts[0], marks)]


def _escaped(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    if not _ESCAPED.match(lines.texts[index]):
        return None
    message = (
        "This fence is escaped with a backslash, so what follows is shown as text and not checked."
    )
    return [Problem("escaped_fence", lines.position(index), message)], index + 1


def _example(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    match = PROMPT.match(lines.texts[index])
    if match is None or not (match["code"] or "").strip():
        return None
    # Three quote marks look the same: `>>> ` counts as a prompt only if Python follows.
    if (
        index
        and lines.texts[index - 1].lstrip().startswith(">")
        and not rst.is_python(match["code"])
    ):
        return None
    return rst.examples(lines, index)


def _include(lines: Lines, index: int, dialect: Dialect) -> tuple[list[Event], int] | None:
    text = lines.texts[index]
    pointer = find(text)
    if pointer is None:
        if _MACRO.match(text):
            message = "A macro puts code here when the site is built; it cannot be seen, so it was not checked."
            return [Problem("unresolved_macro", lines.position(index), message)], index + 1
        return None
    suffix = pointer.path.rpartition(".")[2]
    if infos.language_name(suffix) != "python":
        return [], index + 1
    number = lines.numbers[index]
    block = Block("python", lines.part(index, index + 1), number, number, text.strip())
    return resolve(block, *_where(dialect)), index + 1


_READERS: tuple[Callable[[Lines, int, Dialect], tuple[list[Event], int] | None], ...] = (
    _fence,
    _comment,
    _escaped,
    _include,
    _example,
)
