"""The fenced blocks of a reply, as loosely as models write them. Linear in the length of the reply."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Prose may stand before the marks on their line; then only a bare label may follow them.
_OPEN = re.compile(r"(?P<lead>[^`~]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)")
_LIST = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?")
_LABEL = re.compile(r"[A-Za-z0-9+#_-]+")
_ON_ONE_LINE = re.compile(r"[ \t]*`{3,}([^`]+)`{3,}[ \t]*")


@dataclass(frozen=True, slots=True)
class Fence:
    """One block. `label` is the first word after the marks in lower case; lines count from 1."""

    label: str
    code: str
    first_line: int
    last_line: int
    closed: bool


@dataclass(slots=True)
class _Opened:
    mark: str
    label: str
    indent: int
    quoted: bool
    line: int
    content: list[str] = field(default_factory=list[str])

    def add(self, line: str) -> None:
        if self.quoted:
            line = re.sub(r"^[ \t]*>[ \t]?", "", line, count=1)
        # As Markdown has it: at most the indentation of the marks is taken away.
        spaces = len(line) - len(line.lstrip(" \t"))
        self.content.append(line[min(spaces, self.indent) :])

    def close(self, line: int, *, closed: bool) -> Fence:
        return Fence(self.label, "\n".join(self.content), self.line + 1, line, closed)


def fences(reply: str) -> Iterator[Fence]:
    """The blocks in order; one that is never closed goes to the end of the reply."""
    opened: _Opened | None = None
    lines = reply.split("\n")
    for number, line in enumerate(lines, 1):
        if opened is None:
            if one := _ON_ONE_LINE.fullmatch(line):
                yield Fence("", one[1].strip(), number, number, closed=True)
            else:
                opened = _opening(line, number)
        elif _closes(opened, line):
            if before := line.rstrip()[: -len(opened.mark)].rstrip("`~ \t>"):
                opened.add(before)
            yield opened.close(number - 1, closed=True)
            opened = None
        elif (again := _opening(line, number)) and again.mark[0] == opened.mark[0] and again.label:
            yield opened.close(number - 1, closed=False)
            opened = again
        else:
            opened.add(line)
    if opened is not None:
        yield opened.close(len(lines), closed=False)


def _opening(line: str, number: int) -> _Opened | None:
    found = _OPEN.fullmatch(line)
    if found is None:
        return None
    info = found["info"].strip().strip("{}. ")
    label = _LABEL.match(info)
    in_place = _LIST.fullmatch(found["lead"]) is not None
    if not in_place and info and (label is None or label[0] != info):
        return None
    lead = found["lead"] if in_place else ""
    quoted = ">" in lead
    indent = 0 if quoted else len(lead)
    return _Opened(found["mark"], label[0].lower() if label else "", indent, quoted, number)


def _closes(opened: _Opened, line: str) -> bool:
    """Whether the line ends with enough marks and has no others; code may stand before them."""
    stripped = line.rstrip()
    marks = len(stripped) - len(stripped.rstrip(opened.mark[0]))
    return marks >= len(opened.mark) and opened.mark[0] not in stripped[:-marks]
