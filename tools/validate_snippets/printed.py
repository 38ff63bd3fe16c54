"""Output shown inside the code: `#>` comments and bare strings behind a `print`, as pytest-examples has it."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any, cast

from .snippet import Expected, ExpectedSource
from .source import Lines

_COMMENT = re.compile(r"(?P<lead>[ \t]*#>)(?: (?P<text>.*)|(?P<tight>[^\s>].*)|\s*)$")
# A string that begins on a line of its own behind the end of a call; most have none, and need no syntax tree.
_STRING_LINE = re.compile(r"\)[ \t]*(?:#[^\n]*)?\n[ \t]*(?:\"\"\"|''')[ \t]*$", re.MULTILINE)
_STRING = re.compile(r"[ \t]*(?:\"\"\"|''')\s*$")


def shown(lines: Lines) -> tuple[Expected, ...]:
    """Return the outputs shown in a snippet's code, in the order of its lines."""
    text = lines.text
    found = [*_comments(lines)] if "#>" in text else []
    if _STRING_LINE.search(text):
        found += _strings(lines)
    return tuple(sorted(found, key=lambda expected: expected.after_line))


def _comments(lines: Lines) -> Iterator[Expected]:
    matches = [_COMMENT.match(text) if "#>" in text else None for text in lines.texts]
    is_elsewhere = any(
        m is None and "#>" in text for m, text in zip(matches, lines.texts, strict=True)
    )
    behind = _behind_code(lines) if is_elsewhere else {}
    for index, column in behind.items():
        matches[index] = _COMMENT.match(lines.texts[index], column)
    index = 0
    while index < len(matches):
        if (lead := matches[index]) is None:
            index += 1
            continue
        start = index
        texts: list[str] = []
        while (
            index < len(matches)
            and (match := matches[index])
            and (index == start or index not in behind)
        ):
            texts.append(match["text"] or match["tight"] or "")
            index += 1
        column = lines.offsets[start] + lead.end("lead")
        source = "trailing" if start in behind else "comment"
        after = start + 1 if start in behind else _above(lines, start)
        yield _expected(lines, source, texts, (start, index), column, after)


def _behind_code(lines: Lines) -> dict[int, int]:
    """The lines (from 0) that show their output behind their code, each with the column of its `#>`."""
    found: dict[int, int] = {}
    # Behind what is no Python nothing is found: it does not run, or is an interactive shell's.
    with suppress(SyntaxError, ValueError, tokenize.TokenError):
        for token in tokenize.generate_tokens(io.StringIO(lines.text).readline):
            if token.type == tokenize.COMMENT and token.string.startswith("#>"):
                row, column = token.start
                found[row - 1] = column
    return {i: column for i, column in found.items() if lines.texts[i][:column].strip()}


def _above(lines: Lines, index: int) -> int:
    """The line (from 1) of the code above: an author may leave a line empty, or say what follows."""
    above = index
    while above and (not (text := lines.texts[above - 1].strip()) or text.startswith("#")):
        if text.startswith("#>"):
            return index
        above -= 1
    return above


def _strings(lines: Lines) -> Iterator[Expected]:
    try:
        tree = ast.parse(lines.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for before, after in _pairs(tree):
        first, last = after.lineno, after.end_lineno or after.lineno
        if first != (before.end_lineno or 0) + 1 or not _STRING.match(lines.texts[first - 1]):
            continue
        texts = list(lines.texts[first : last - 1])
        indent = after.col_offset
        texts = [text[indent:] if not text[:indent].strip() else text for text in texts]
        column = lines.offsets[first - 1] + indent
        rows = (first, max(first, last - 1))
        yield _expected(lines, "string", texts, rows, column, before.end_lineno or first)


def _expected(
    lines: Lines,
    source: ExpectedSource,
    texts: list[str],
    rows: tuple[int, int],
    column: int,
    after: int,
) -> Expected:
    start, stop = rows
    return Expected(
        source=source,
        text="".join(f"{text}\n" for text in texts),
        file=lines.file,
        line=lines.numbers[min(start, len(lines) - 1)],
        end_line=lines.numbers[max(start, stop - 1)] if stop > start else lines.numbers[start] - 1,
        column=column,
        after_line=after,
    )


def _pairs(tree: ast.AST) -> Iterator[tuple[ast.stmt, ast.Expr]]:
    """Yield every print statement with the bare string that follows it."""
    # Statements are only in these lists, and walking the expressions would take most of the time.
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            body: Any = getattr(node, name, None)
            if not isinstance(body, list):
                continue
            statements = cast("list[ast.stmt]", body)
            stack += statements
            for before, after in pairwise(statements):
                if _is_print(before) and isinstance(after, ast.Expr):
                    constant = after.value
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        yield before, after


def _is_print(node: ast.stmt) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    return isinstance(call.func, ast.Name) and call.func.id in {"print", "pprint", "debug"}
