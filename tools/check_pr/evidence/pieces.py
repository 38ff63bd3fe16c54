"""What a test is made of: its own text, and of its file all that this needs."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ...run_generated_tests.suite import parsed

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_FOR_ALL = (
    "pytest_",
    "pytestmark",
    "setup",
    "teardown",
    "setUp",
    "tearDown",
    "__test__",
    "load_tests",
)
"""Names that concern every test of a file without being named in it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A part of a file: its text, and the names that stand in it. Each is equal to itself alone."""

    text: str
    names: frozenset[str]


class Sheets:
    """Files in their pieces, each read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Pieces] = {}

    def of(self, content: bytes) -> "Pieces":
        """The pieces of a file."""
        if content not in self._known:
            self._known[content] = Pieces(content.decode("utf-8", "replace"))
        return self._known[content]


class Pieces:
    """A test file in its pieces; one that is no Python is one piece."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = source.splitlines()
        self._bound: dict[str, list[_Piece]] = {}
        self._tests: dict[str, _Piece] = {}
        self._for_all: list[_Piece] = []
        self._known: dict[str, frozenset[str]] = {}
        tree = parsed(source)
        if tree is None:
            self._for_all.append(_Piece(source, frozenset()))
            return
        for node in tree.body:
            self._add(node)

    def of(self, name: str) -> frozenset[str]:
        """The texts of a test (`function` or `Class::function`, without parameters) and of what it names, over
        however many others; all of the file where the test does not stand in it.
        """
        if name not in self._known:
            self._known[name] = self._together(name)
        return self._known[name]

    def tests(self) -> Iterator[str]:
        """The functions and methods that stand in it, tests or not."""
        yield from self._tests

    def _together(self, name: str) -> frozenset[str]:
        start = self._tests.get(name)
        if start is None:
            return frozenset({self._source})
        found = dict.fromkeys([start, *self._for_all])
        left = [name for piece in found for name in piece.names] + name.split("::")[:-1]
        seen = set[str]()
        while left:
            word = left.pop()
            if word not in seen:
                seen.add(word)
                fresh = [piece for piece in self._bound.get(word, ()) if piece not in found]
                found |= dict.fromkeys(fresh)
                left += [name for piece in fresh for name in piece.names]
        return frozenset(piece.text for piece in found)

    def _add(self, node: ast.stmt) -> None:
        if isinstance(node, _Function):
            piece = self._piece(node)
            self._tests[node.name] = piece
            self._bind([node.name], piece, for_all=_is_for_all(node))
        elif isinstance(node, ast.ClassDef):
            self._add_class(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._add_import(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            places = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for place in places for each in ast.walk(place)
                     if isinstance(each, ast.Name)]  # fmt: skip
            self._bind(names, self._piece(node), for_all=not names)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            self._for_all.append(self._piece(node))

    def _add_class(self, node: ast.ClassDef) -> None:
        """Its methods that are tests stand for themselves; the rest is needed by all of them."""
        tests = [
            one for one in node.body if isinstance(one, _Function) and one.name.startswith("test")
        ]
        head = ast.ClassDef(node.name, node.bases, node.keywords, [], node.decorator_list)
        rest = [one for one in node.body if one not in tests]
        lines = [ast.unparse(head), *(self._text(one) for one in rest)]
        self._bind([node.name], _Piece("\n".join(lines), _names(head, *rest)), for_all=False)
        for one in tests:
            self._tests[f"{node.name}::{one.name}"] = self._piece(one)

    def _add_import(self, node: ast.Import | ast.ImportFrom) -> None:
        start = f"{'.' * node.level}{node.module}: " if isinstance(node, ast.ImportFrom) else ""
        for item in node.names:
            name = item.asname or item.name.partition(".")[0]
            piece = _Piece(f"import {start}{item.name} as {name}", frozenset())
            self._bind([name], piece, for_all=name == "*" or start == "__future__: ")

    def _bind(self, names: list[str], piece: _Piece, *, for_all: bool) -> None:
        if for_all or any(name.startswith(_FOR_ALL) for name in names):
            self._for_all.append(piece)
        for name in names:
            self._bound.setdefault(name, []).append(piece)

    def _piece(self, node: ast.stmt) -> _Piece:
        return _Piece(self._text(node), _names(node))

    def _text(self, node: ast.stmt) -> str:
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorators)])
        return "\n".join(self._lines[first - 1 : node.end_lineno])


def _names(*nodes: ast.AST) -> frozenset[str]:
    """Names, parameters (which may be fixtures), and texts that could be the name of something."""
    found = set[str]()
    for node in (each for one in nodes for each in ast.walk(one)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(word.strip() for word in node.value[:200].split(","))
    return frozenset(found)


def _is_for_all(node: _Function) -> bool:
    return any("autouse" in ast.unparse(each) for each in node.decorator_list)
