"""Tests of a pull request that may change what other tests see: they could put something else in the code's place."""

import ast
from collections.abc import Collection, Iterator

from ...run_generated_tests.suite import parsed
from ..pull.pull import Pull
from .trees import View, text

# Pytest's own `monkeypatch` and `with patch(...)` are not here: they undo what they did when a test ends.
_NAMES = frozenset(
    {
        "setattr", "delattr", "exec", "eval", "compile", "globals", "vars", "locals", "importlib", "builtins",
        "gc", "ctypes", "inspect", "runpy", "atexit", "MonkeyPatch",
        "__builtins__", "__import__",
    }
)  # fmt: skip
_ATTRIBUTES = frozenset(
    {
        "modules", "meta_path", "path_hooks", "settrace", "setprofile", "start", "MonkeyPatch", "__dict__",
        "__setattr__", "__delattr__", "__getattribute__", "__builtins__", "__globals__", "__code__", "__class__",
        "__bases__", "__base__", "__mro__", "__subclasses__", "__loader__", "__spec__", "__func__", "__wrapped__",
    }
)  # fmt: skip
_CHANGING = frozenset(
    {
        "update", "append", "extend", "insert", "clear", "pop", "popitem", "remove", "setdefault", "add", "discard",
        "sort", "reverse", "register",
    }
)  # fmt: skip
_OWN = frozenset({"self", "cls"})


def meddles(pull: Pull, head: View) -> bool:
    """Whether what is new in head's tests does what could outlive a test, as far as that can be read off it."""
    return any(
        _reaches_out(
            head.files[change.path], frozenset(change.added if change.kind == "modified" else ())
        )
        for change in pull.changes
        if change.kind != "deleted"
        and change.path.endswith(".py")
        and change.path in head.files
        and head.is_test_side(change.path)
    )


def _reaches_out(content: bytes, added: frozenset[int]) -> bool:
    """`added` are the numbers of the lines that are new; none where all are, or nobody knows."""
    tree = parsed(text(content))
    if tree is None:
        return True
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {name for node in imports for name in _bound(node)}
    new = {name for node in imports if _lines(node) & added for name in _bound(node)}
    hints = {id(part) for node in ast.walk(tree) for part in _hints(node)}
    return any(
        _is_suspect(node, imported)
        for node in ast.walk(tree)
        if id(node) not in hints
        if not added or _lines(node) & added or (isinstance(node, ast.expr) and _root(node) in new)
    )


def _hints(node: ast.AST) -> Iterator[ast.AST]:
    """The types that are written to parameters and results."""
    if isinstance(node, ast.arg) and node.annotation is not None:
        yield from ast.walk(node.annotation)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
        yield from ast.walk(node.returns)


def _lines(node: ast.AST) -> set[int]:
    first: int = getattr(node, "lineno", 0)
    return set(range(first, (getattr(node, "end_lineno", 0) or first) + 1))


def _is_suspect(node: ast.AST, imported: Collection[str]) -> bool:
    match node:
        case ast.Name(name):
            return name in _NAMES
        case ast.alias(name):
            return not _NAMES.isdisjoint(name.split("."))
        case ast.Attribute(attr=name, ctx=ast.Load()):
            return name in _ATTRIBUTES or (name in _CHANGING and _root(node) in imported)
        case ast.Attribute():
            return _root(node) not in _OWN
        case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
            return isinstance(value, ast.Attribute | ast.Call) or _root(node) in imported
        case _:
            return False


def _bound(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for item in node.names:
        yield item.asname or item.name.partition(".")[0]


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
