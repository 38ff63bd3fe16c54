"""Find snippets in the docstrings of Python modules, without importing them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import markdown, rst
from .blocks import Event
from .includes import Reader
from .scopes import bindings
from .snippet import Position, Problem
from .source import Lines, split

_LITERAL = re.compile(r"(?P<prefix>[A-Za-z]*)(?P<quote>'''|\"\"\"|'|\")")
_ESCAPE = re.compile(
    r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.|$)"
)
_WORTH_PARSING = re.compile(r">>>|```|~~~|::|In ?\[\d*\]:")
_FENCED = re.compile(r"```|~~~|<!--")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring: the object that it documents (`Class.method`, "" for the module) and its lines."""

    scope: str
    lines: Lines


@dataclass(frozen=True, slots=True)
class Module:
    """What was read of a module: its docstrings in order, the names that it defines and imports."""

    docstrings: tuple[Docstring, ...] = ()
    problems: tuple[Problem, ...] = ()
    defined: frozenset[str] = frozenset()
    imported: frozenset[str] = frozenset()


def find(text: str, file: str) -> Module:
    """Read the docstrings of a module that hold anything like code."""
    if not _WORTH_PARSING.search(text):
        return Module()
    text = text.removeprefix("\ufeff")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        message = f"This module does not parse, so its docstrings were not read: {error}."
        return Module(problems=(Problem("unparsable_module", Position(file, line, 1), message),))
    source = split(text)
    found = tuple(
        Docstring(scope, lines)
        for scope, node in _docstrings(tree, "")
        if (lines := _lines(node, source, file)) is not None
    )
    defined, imported = bindings(tree) if found else (frozenset[str](), frozenset[str]())
    return Module(found, (), defined, imported)


def _docstrings(parent: ast.AST, scope: str) -> Iterator[tuple[str, ast.Constant]]:
    body: list[ast.stmt] = getattr(parent, "body", [])
    documented = scope
    for index, node in enumerate(body):
        if index and isinstance(body[index - 1], ast.Assign | ast.AnnAssign):
            documented = _join(scope, _target(body[index - 1]))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            first = index == 0 and not isinstance(parent, ast.If | ast.Try)
            assigned = index > 0 and isinstance(body[index - 1], ast.Assign | ast.AnnAssign)
            of_function = isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(node.value.value, str) and (first or (assigned and not of_function)):
                yield (scope if first else documented), node.value
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            if _target(node) == "__doc__" and isinstance(node.value.value, str):
                yield scope, node.value
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(node, _join(scope, node.name))
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _docstrings(node, scope)
            for other in (*getattr(node, "orelse", ()), *getattr(node, "handlers", ())):
                if isinstance(other, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _docstrings(other, _join(scope, other.name))


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope and name else scope or name


def _target(node: ast.stmt) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def _lines(node: ast.Constant, source: list[str], file: str) -> Lines | None:
    """Return a docstring's lines; None if it holds nothing to check."""
    value = str(node.value)
    if not _WORTH_PARSING.search(value):
        return None
    first, last = node.lineno, node.end_lineno or node.lineno
    # Columns of the syntax tree count bytes.
    start = len(
        source[first - 1]
        .encode("utf-8", "surrogateescape")[: node.col_offset]
        .decode("utf-8", "replace")
    )
    match = _LITERAL.match(source[first - 1], start)
    if match is None:
        return None
    texts = value.split("\n")
    numbers = range(first, last + 1)
    offsets = [match.end(), *(0 for _ in range(len(texts) - 1))]
    if len(texts) == len(numbers):
        return Lines(file, texts, numbers, offsets)
    # Escaped line ends: the lines of the value and of the file do not pair up.
    raw = "r" in match["prefix"].lower()
    rest = [source[first - 1][match.end() :], *source[first:last]]
    return _decoded(rest, first, match.end(), file, raw=raw, count=len(texts))


def _decoded(
    rest: list[str], first: int, offset: int, file: str, *, raw: bool, count: int
) -> Lines:
    """Undo the escapes of a string's source lines, keeping for each line of text where it begins."""
    texts, numbers, offsets = [""], [first], [offset]
    joined = False
    for row, line in enumerate(rest):
        if row and not joined:
            texts.append("")
            numbers.append(first + row)
            offsets.append(0)
        joined = False
        end = 0
        for match in () if raw else _ESCAPE.finditer(line):
            texts[-1] += line[end : match.start()]
            end = match.end()
            if match[0] == "\\":
                joined = True
            elif match[0] == "\\n":
                texts.append("")
                numbers.append(first + row)
                offsets.append(end + (offset if row == 0 else 0))
            else:
                texts[-1] += _unescape(match[0])
        texts[-1] += line[end:]
    return Lines(file, texts[:count], tuple(numbers[:count]), offsets[:count])


def _unescape(escape: str) -> str:
    try:
        return str(ast.literal_eval(f'"{escape}"'))
    except (SyntaxError, ValueError):
        return escape


def scan(docstring: Docstring, reader: Reader | None) -> list[Event]:
    """Return the blocks of a docstring, which may be written in Markdown or reStructuredText."""
    lines = docstring.lines
    if not any(_FENCED.search(text) for text in lines.texts):
        return rst.scan(lines, rst.Dialect(lines.file, reader))
    return markdown.scan(lines, markdown.Dialect(lines.file, reader))
