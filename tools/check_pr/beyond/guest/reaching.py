"""Tells which marked statements tests run, with next to no cost: a call is put before each of them at its import."""

from __future__ import annotations

import ast
import builtins
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Generator, Sequence
from types import CodeType
from typing import Any, cast

Say = Callable[..., None]

_MARK = "__proofbox_ran__"
_places: list[tuple[str, int]] = []
_hits: set[int] = set()
_marked_files: set[str] = set()


def early(options: dict[str, Any]) -> None:
    """Before pytest is imported, which may use what is measured. Options: `lines`, the first lines of
    statements by absolute path.
    """
    setattr(builtins, _MARK, _hits.add)
    wanted = {os.path.realpath(path): frozenset(lines) for path, lines in options["lines"].items()}
    sys.meta_path.insert(0, _Finder(wanted))


class _Finder(importlib.abc.MetaPathFinder):
    """Has modules that are measured loaded by `_Loader`; the others are for others to find."""

    def __init__(self, wanted: dict[str, frozenset[int]]) -> None:
        self._wanted = wanted
        self._names = {_name(path) for path in wanted}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> Any:
        if fullname.rpartition(".")[2] not in self._names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        origin = os.path.realpath(spec.origin) if spec and spec.origin else ""
        if spec is None or origin not in self._wanted or spec.origin is None:
            return None
        if type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _Loader(fullname, spec.origin, origin, self._wanted[origin])
        return spec


def _name(path: str) -> str:
    name = os.path.basename(path)
    return os.path.basename(os.path.dirname(path)) if name == "__init__.py" else name[: -len(".py")]


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles a module with its marks; what has none is as it was."""

    def __init__(self, fullname: str, path: str, place: str, lines: frozenset[int]) -> None:
        super().__init__(fullname, path)
        self._place = place
        self._lines = lines

    def get_code(self, fullname: str) -> CodeType | None:
        try:
            tree = ast.parse(self.get_data(self.path))
            _marked(tree, self._place, self._lines)
            return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return super().get_code(fullname)


def _marked(tree: ast.Module, place: str, lines: frozenset[int]) -> None:
    _marked_files.add(place)
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse", "finalbody"):
            body: Any = getattr(node, name, None)
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                body[:] = _with_marks(cast("list[ast.stmt]", body), place, lines)


def _with_marks(body: list[ast.stmt], place: str, lines: frozenset[int]) -> Generator[ast.stmt]:
    waiting: list[int] = []
    for node in body:
        if node.lineno in lines:
            waiting.append(node.lineno)
        first = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        yield from () if first else (_mark(place, line, node) for line in waiting)
        waiting = waiting if first else []
        yield node
    yield from (_mark(place, line, body[-1]) for line in waiting)


def _mark(place: str, line: int, node: ast.stmt) -> ast.stmt:
    _places.append((place, line))
    call = ast.Call(ast.Name(_MARK, ast.Load()), [ast.Constant(len(_places) - 1)], [])
    return ast.copy_location(ast.Expr(ast.copy_location(call, node)), node)


def _origin(module: Any) -> str:
    path = getattr(module, "__file__", None)
    return os.path.realpath(path) if isinstance(path, str) else ""


def plugin(options: dict[str, Any], say: Say) -> Any:
    """The plugin: says for each test what it ran, and for no test what imports did."""
    import pytest

    class Reaching:
        """Marks of one test after another; those of a fixture that several share count for all of them."""

        def __init__(self) -> None:
            self._shared: dict[str, set[int]] = {}

        def _tell(self, test: str) -> None:
            found: dict[str, list[int]] = {}
            for path, line in sorted(_places[one] for one in _hits):
                found.setdefault(path, []).append(line)
            if found:
                say("guest", of="reaching", test=test, lines=found)
            _hits.clear()

        def pytest_sessionfinish(self) -> None:
            """Modules that somebody else has loaded: nobody knows what of them was run."""
            loaded = {_origin(module) for module in list(sys.modules.values())}
            missed = [p for p in options["lines"] if os.path.realpath(p) in loaded - _marked_files]
            if missed:
                say("guest", of="reaching", test="", lines={}, unmarked=missed)

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self) -> None:
            """All is collected."""
            self._tell("")

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
            """A fixture is made."""
            if fixturedef.scope == "function":
                return (yield)
            before = set(_hits)
            _hits.clear()
            try:
                return (yield)
            finally:
                self._shared[fixturedef.argname] = set(_hits)
                _hits.update(before)

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
            """A test, with all of its phases."""
            result = yield
            for name in getattr(item, "fixturenames", ()):
                _hits.update(self._shared.get(name, ()))
            self._tell(item.nodeid)
            return result

    return Reaching()
