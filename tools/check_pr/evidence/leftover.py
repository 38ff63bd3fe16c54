"""Base's test files that cannot be imported on head's code, since names are gone there: the tests that need none of these.

Without them one removed function would excuse whatever else a pull request does to the tests of the same file.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ....server.programs import OpenSandbox
from ...run_generated_tests.suite import parsed
from .evidence import function_of
from .ground import Ground, narrowed
from .kinds import BAD
from .runs import carry_out
from .table import Ran
from .trees import View, text

_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError"}


async def take_leftovers(ground: Ground, ran: Ran, at_head: OpenSandbox) -> None:
    """Run them, and put what they came to into `ran`: a failure where it is seen twice."""
    back = ran.head_with_base
    files: dict[str, bytes] = {}
    pieces: dict[str, set[str]] = {}
    for path, raised in back.not_collected.items():
        if raised.type in _IMPORT_ERRORS and path in ground.selection.changed_base:
            gone = list(_gone(ground, path))
            if gone:
                files[path] = _without(ground.base.files[path], gone)
                pieces[path] = {piece for one in gone for piece in one.pieces}
    if not files:
        return
    tree = ground.trees.head_with_base
    project = narrowed(replace(tree, files={**tree.files, **files}), files)
    told = await carry_out(project, ground.plan(project), at_head)
    bad = {name for name in told.results if told.outcome(name) in BAD}
    again = await carry_out(project, ground.plan(project), at_head) if bad else told
    back.items |= told.items
    for name, result in told.results.items():
        path, _, rest = function_of(name).partition("::")
        needed = ground.sheets.of(ground.base.files[path]).of(rest)
        # Of those that need what is gone it stays said that they cannot begin.
        fails = again.outcome(name) in BAD and needed.isdisjoint(pieces[path])
        if fails if name in bad else result.outcome != "not_run":
            back.results[name] = result


class _Import:
    """An import statement of which head has not all names, or has them in a module that was moved."""

    def __init__(self, node: ast.ImportFrom, module: str, gone: list[ast.alias]) -> None:
        self.node = node
        self.module = module
        self.names = [one.asname or one.name for one in gone]
        self.kept = [one for one in node.names if one not in gone]
        self.pieces = [
            f"import {node.module}: {one.name} as {one.asname or one.name}" for one in gone
        ]

    @property
    def line(self) -> str:
        """The statement without them, and these as nothing."""
        parts = [ast.unparse(ast.ImportFrom(self.module, self.kept, 0))] if self.kept else []
        parts += [f"{' = '.join(self.names)} = None"] if self.names else []
        return "; ".join(parts)


def _gone(ground: Ground, path: str) -> Iterator[_Import]:
    tree = parsed(text(ground.base.files[path]))
    at_base = {module.name for module in ground.base.sources}
    at_head = {module.name: module.path for module in ground.head.sources}
    moved = dict(_moved(ground))
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in at_base:
            there = node.module in at_head
            module = node.module if there else moved.get(node.module, node.module)
            gone = [one for one in node.names if not _has(ground.head, at_head, module, one)]
            if gone or module != node.module:
                yield _Import(node, module, gone)


def _moved(ground: Ground) -> Iterator[tuple[str, str]]:
    """Modules by the names that they had at base, with those that they have at head."""
    at_head = {module.path: module.name for module in ground.head.sources}
    for module in ground.base.sources:
        place = ground.moved.get(module.path, "")
        if place in at_head:
            yield module.name, at_head[place]


def _has(head: View, modules: Mapping[str, str], module: str, name: ast.alias) -> bool:
    """Whether a module of head may have a name: it stands in it, or nobody knows what it has."""
    if f"{module}.{name.name}" in modules or name.name == "*":
        return True
    if module not in modules:
        return False
    source = text(head.files[modules[module]])
    unknown = "import *" in source or "__getattr__" in source or "globals()" in source
    return unknown or re.search(rf"\b{re.escape(name.name)}\b", source) is not None


def _without(content: bytes, gone: list[_Import]) -> bytes:
    """A file in which every line stays where it is."""
    lines = text(content).splitlines()
    for one in gone:
        first, last = one.node.lineno - 1, one.node.end_lineno or one.node.lineno
        lines[first:last] = [one.line, *[""] * (last - first - 1)]
    return ("\n".join(lines) + "\n").encode()
