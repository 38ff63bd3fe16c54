"""The places in a file where something can be changed, and what can be put there.

Only what is inside functions is changed, since that can be put into functions that are there already. Left
out is what no test should be asked to notice: annotations, decorators, docstrings, `TYPE_CHECKING`, logging,
`__repr__` and the type given to `cast`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from . import operators

_NEVER_FUNCTIONS = {"__repr__", "__getattribute__", "__setattr__", "__new__"}
_NEVER_CALLED = {"len", "isinstance", "cast", "TypeVar", "print_exc"}
_LOG_METHODS = {
    "debug", "info", "warning", "warn", "error", "exception", "critical", "log",
}  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """A place in a tree: a field of a node, or one entry of a field that is a list."""

    parent: ast.AST
    field: str
    index: int | None = None

    def get(self) -> ast.AST:
        held = getattr(self.parent, self.field)
        return held if self.index is None else held[self.index]

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


@dataclass
class Place:
    """Where the walk is. `statement` is the innermost one, `shown` the slot whose text is shown."""

    top: ast.stmt
    names: tuple[str, ...] = ()
    functions: int = 0
    statement: ast.stmt | None = None
    shown: Slot | None = None
    default: tuple[int, str | int] | None = None


Site = tuple[Slot, Place, str, ast.AST]
"""Where a change is made, what is around it, the operator's name, and what is put there."""


def sites(statement: ast.stmt) -> Iterator[Site]:
    """The changes of one statement of a module, in the order of the text."""
    root = ast.Module([statement], [])
    yield from _walk(root, Place(statement))


def _walk(node: ast.AST, place: Place) -> Iterator[Site]:
    for slot, child in _children(node):
        if not _is_junk(slot, child):
            yield from _visit(slot, child, place)


def _visit(slot: Slot, node: ast.AST, place: Place) -> Iterator[Site]:
    if isinstance(node, ast.stmt):
        place = replace(place, statement=node, shown=None)
    if isinstance(node, ast.JoinedStr):
        place = replace(place, shown=place.shown or slot)
    if place.functions:
        for name, new in operators.changes(node):
            yield slot, _showing(place, node, slot), name, new
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        inner = replace(place, names=(*place.names, node.name), functions=place.functions + 1)
        yield from _defaults(node, inner)
        for number, child in enumerate(node.body):
            slot = Slot(node, "body", number)
            if not _is_junk(slot, child):
                yield from _visit(slot, child, inner)
    elif isinstance(node, ast.ClassDef):
        yield from _walk(node, replace(place, names=(*place.names, node.name)))
    else:
        yield from _walk(node, place)


def _showing(place: Place, node: ast.AST, slot: Slot) -> Place:
    """Nodes without a place of their own are shown by the text of what they are in."""
    if place.shown is None and not hasattr(node, "lineno"):
        return replace(place, shown=Slot(slot.parent, slot.field, slot.index))
    return place


def _defaults(function: ast.FunctionDef | ast.AsyncFunctionDef, place: Place) -> Iterator[Site]:
    """Default values that are plain constants; the rest may fail where the function is made."""
    arguments = function.args
    line = function.lineno
    at: list[tuple[Slot, ast.expr | None, str | int]] = [
        (Slot(arguments, "defaults", number), value, number)
        for number, value in enumerate(arguments.defaults)
    ]
    for number, value in enumerate(arguments.kw_defaults):
        at.append((Slot(arguments, "kw_defaults", number), value, arguments.kwonlyargs[number].arg))
    for slot, value, which in at:
        if isinstance(value, ast.Constant):
            first = function.body[1:] or function.body
            inner = replace(place, default=(line, which), statement=first[0])
            for name, new in operators.changes(value):
                yield slot, inner, name, new


def _children(node: ast.AST) -> Iterable[tuple[Slot, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield Slot(node, name), value
        elif isinstance(value, list):
            children: list[object] = value  # pyright: ignore[reportUnknownVariableType]
            for number, child in enumerate(children):
                if isinstance(child, ast.AST):
                    yield Slot(node, name, number), child


def _is_junk(slot: Slot, node: ast.AST) -> bool:
    if slot.field in {"annotation", "returns", "decorator_list", "ctx", "type_params"}:
        return True
    if isinstance(slot.parent, ast.JoinedStr) and isinstance(node, ast.Constant):
        return True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name in _NEVER_FUNCTIONS
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _is_logging(node.value)
    if isinstance(node, ast.Call):
        function = node.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        return name in _NEVER_CALLED
    return False


def _is_logging(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in _LOG_METHODS:
        return False
    owner = function.value
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
    return str(name).strip("_").lower() in {"log", "logger", "logging", "_log"}
