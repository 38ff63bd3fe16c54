"""Tests of a pull request that may change what other tests see: they could put something else in the code's place."""

import ast
from collections.abc import Iterator

from ...run_generated_tests.suite import parsed
from ..pull.pull import Pull
from .trees import View, text

# Pytest's own `monkeypatch` and `with patch(...)` are not here: they undo what they did when a test ends.
_NAMES = frozenset(
    {
        "setattr", "delattr", "exec", "eval", "compile", "globals", "vars", "locals", "importlib", "builtins",
        "gc", "ctypes", "inspect", "runpy", "atexit", "MonkeyPatch",
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
    """Whether any changed file of head's tests does what could outlive a test, as far as that can be read off it."""
    return any(
        _reaches_out(head.files[change.path])
        for change in pull.changes
        if change.kind != "deleted"
        and change.path.endswith(".py")
        and change.path in head.files
        and head.is_test_side(change.path)
    )


def _reaches_out(content: bytes) -> bool:
    tree = parsed(text(content))
    if tree is None:
        return True
    imported = {name for node in ast.walk(tree) for name in _bound(node)}
    return any(_is_suspect(node, imported) for node in ast.walk(tree))


def _is_suspect(node: ast.AST, imported: set[str]) -> bool:
    match node:
        case ast.Name(name):
            return name in _NAMES or name == "__builtins__" or name == "__import__"
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


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for item in node.names:
            yield item.asname or item.name.partition(".")[0]


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
