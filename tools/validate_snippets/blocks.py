"""What the scanners hand on: blocks of code and remarks, in the order of the document."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import includes
from .includes import Reader
from .snippet import Kind, LineMap, Mark, Problem, Span
from .source import Lines

_POINTER = re.compile(r"8<|\{[!*{]|<<<")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    `body` is what stands in the document, `included` the pieces of
    code when it points to other files. `kind` is None until the language decides. `first` and `last` are the file's lines that the block
    takes up with its fences. `fenced` is false for examples in running text.
    """

    language: str
    body: Lines
    first: int
    last: int
    info: str = ""
    marks: tuple[Mark, ...] = ()
    kind: Kind | None = None
    fenced: bool = True
    unresolved: str = ""
    included: tuple[Lines, ...] | None = None

    @property
    def parts(self) -> tuple[Lines, ...]:
        """The lines of code, in pieces of one file each."""
        return (self.body,) if self.included is None else self.included

    @property
    def code(self) -> str:
        """The text of all parts, each line with its end."""
        return "".join(part.text for part in self.parts)

    def map(self) -> LineMap:
        """Return where each line stands."""
        spans: list[Span] = []
        first = 1
        for part in self.parts:
            if len(part):
                spans.append(Span(part.file, first, part.numbers, part.offsets))
                first += len(part)
        if not spans:
            spans.append(Span(self.body.file, 1, (self.first,), (0,)))
        return LineMap(tuple(spans))


@dataclass(frozen=True, slots=True)
class Remark:
    """Marks in a comment: for the next block, or to open or close a stretch."""

    marks: tuple[Mark, ...]


Event = Block | Remark | Problem


def resolve(block: Block, document: str, reader: Reader | None) -> list[Event]:
    """Put the lines of included files in the place of the pointers in the block's body."""
    body = block.body
    pointers = _pointers(body.texts) if _POINTER.search(body.text) else {}
    if not pointers:
        return [block]
    parts: list[Lines] = []
    events: list[Event] = []
    start = 0
    unresolved = ""
    for index, (stop, pointer) in pointers.items():
        parts.append(body.part(start, index))
        found = includes.follow(pointer, document, reader)
        if isinstance(found, Lines) and not len(found):
            message = f"Nothing is included: {pointer.path} does not have these lines."
            found = includes.Failure("include_not_found", message)
        if isinstance(found, Lines):
            parts.append(found)
        else:
            unresolved = unresolved or pointer.path
            parts.append(body.part(index, stop))
            events.append(Problem(found.kind, body.position(index), found.message))
        start = stop
    parts.append(body.part(start, len(body)))
    kept = tuple(part for part in parts if len(part))
    return [*events, replace(block, included=kept, unresolved=unresolved)]


def _pointers(texts: Sequence[str]) -> dict[int, tuple[int, includes.Pointer]]:
    found: dict[int, tuple[int, includes.Pointer]] = {}
    index = 0
    while index < len(texts):
        text = texts[index]
        if "8<" in text and text.strip().strip("-") == "8<":
            index = _block_snippet(texts, index, found)
        elif ("8<" in text or "{" in text or "<<<" in text) and (pointer := includes.find(text)):
            found[index] = (index + 1, pointer)
        index += 1
    return found


def _block_snippet(
    texts: Sequence[str], start: int, found: dict[int, tuple[int, includes.Pointer]]
) -> int:
    # The block form: a line `--8<--`, paths, and another such line.
    index = start + 1
    paths: list[int] = []
    while index < len(texts) and texts[index].strip().strip("-") != "8<":
        paths += [index] if texts[index].strip() else []
        index += 1
    for number, position in enumerate(paths):
        first = start if number == 0 else position
        stop = min(index + 1, len(texts)) if number == len(paths) - 1 else position + 1
        target = texts[position].strip().strip("\"'")
        found[first] = (stop, includes.Pointer(target))
    return index
