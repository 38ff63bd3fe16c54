"""Write the real output where a document shows a wrong one, and leave every other byte alone."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .oracles import Raised
from .snippet import Expected

_FENCES = ("```", "~~~", ":::")


class CannotRewrite(ValueError):
    """The real output cannot stand where the shown one does; the message says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """New text for the lines `line` to `end_line` of a file, from column `column` (characters) on.

    With `end_line` below `line` the new lines are put in front of `line`.
    """

    file: str
    line: int
    end_line: int
    column: int
    texts: tuple[str, ...]


def edit(expected: Expected, got: str) -> Edit:
    """Return the edit that shows `got` in the place of `expected`.

    Raises:
        CannotRewrite: the document's syntax has no way to show this output there.
    """
    texts = [line.rstrip() for line in got.rstrip("\n").split("\n")]
    _check(expected, got, texts)
    if expected.source in {"doctest", "testoutput"}:
        texts = [text or "<BLANKLINE>" for text in texts]
    elif expected.source in {"comment", "trailing"}:
        # The column is behind `#>`.
        texts = [f" {text}" if text else "" for text in texts]
    return Edit(expected.file, expected.line, expected.end_line, expected.column, tuple(texts))


def edit_exception(expected: Expected, raised: Raised) -> Edit:
    """Return the edit that shows this exception in the place of the traceback shown.

    Raises:
        CannotRewrite: as `edit`.
    """
    last = f"{raised.name}: {raised.message}" if raised.message else raised.name
    return edit(expected, f"Traceback (most recent call last):\n  ...\n{last}\n")


def _check(expected: Expected, got: str, texts: Sequence[str]) -> None:
    if not got.strip():
        raise CannotRewrite("Nothing was printed: remove the shown output, or print something.")
    if expected.file.endswith(".ipynb"):
        raise CannotRewrite("Run the notebook to update the outputs in it.")
    if expected.file.endswith((".py", ".pyi")) and ("\\" in got or '"""' in got or "'''" in got):
        raise CannotRewrite(
            "The output has backslashes or triple quotes, which a docstring escapes."
        )
    if expected.source == "trailing" and (len(texts) > 1 or expected.end_line > expected.line):
        raise CannotRewrite(
            "The output has several lines and is shown behind code: give each a line."
        )
    if expected.source == "string" and ('"""' in got or "'''" in got or "\\" in got):
        raise CannotRewrite("The output has backslashes or triple quotes and is shown in a string.")
    if expected.source == "block" and any(text.lstrip().startswith(_FENCES) for text in texts):
        raise CannotRewrite("The output has a line that would close the block it is shown in.")
    if expected.source == "doctest" and any(text.lstrip().startswith(">>>") for text in texts):
        raise CannotRewrite("The output has a line that reads as another example.")


def apply(text: str, edits: Iterable[Edit]) -> str:
    r"""Return a file's text with these edits made. Lines keep their ends, \n or \r\n.

    Of two edits that overlap, the one further up is made.
    """
    rows = text.split("\n")
    made: list[Edit] = []
    for change in sorted(edits, key=lambda change: (change.line, change.end_line)):
        if not made or change.line > made[-1].end_line:
            made.append(change)
    for change in reversed(made):
        old = rows[change.line - 1 : change.end_line]
        end = "\r" if rows[max(0, change.line - 1)].endswith("\r") else ""
        prefix = _prefix(old or rows[change.line - 1 : change.line], change.column)
        new = [(prefix + line).rstrip() if not line else prefix + line for line in change.texts]
        rows[change.line - 1 : change.end_line] = [line + end for line in new]
        if change.end_line == len(rows) and end and not text.endswith("\n"):
            rows[-1] = rows[-1].removesuffix("\r")
    return "\n".join(rows)


def _prefix(rows: Sequence[str], column: int) -> str:
    """Return what stands in front of the output: indentation, quote marks, the comment's sign."""
    for row in rows:
        if len(row.rstrip("\r")) >= column and row.strip():
            return row[:column]
    return " " * column


def patch(file: str, before: str, after: str) -> str:
    """Return the unified diff from one text of a file to another, "" if they are the same.

    `file` is written as it is given, with forward slashes, below `a/` and `b/`.
    """
    if before == after:
        return ""
    name = file.replace("\\", "/").lstrip("/")
    lines = difflib.unified_diff(
        _rows(before), _rows(after), f"a/{name}", f"b/{name}", lineterm="\n"
    )
    # A last line without a line end is marked as diff(1) marks it.
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _rows(text: str) -> list[str]:
    rows = [f"{row}\n" for row in text.split("\n")]
    rows[-1] = rows[-1].removesuffix("\n")
    return rows if rows[-1] else rows[:-1]
