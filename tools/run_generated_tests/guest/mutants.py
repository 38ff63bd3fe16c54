"""The mutants of a file: where each is, what it shows, and how it is made and undone.

Only what is inside functions is changed, since that can be put into functions that are there already. Left
out is what no test should be asked to notice: annotations, decorators, docstrings, `TYPE_CHECKING`, logging,
`__repr__`, the type given to `cast`, and whatever compiles to what was there before.
"""

from __future__ import annotations

import __future__ as futures
import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType

from . import operators

_NEVER_FUNCTIONS = {"__repr__", "__getattribute__", "__setattr__", "__new__"}
_NEVER_CALLED = {"len", "isinstance", "cast", "TypeVar", "print_exc"}
_LOG_METHODS = {
    "debug", "info", "warning", "warn", "error", "exception", "critical", "log",
}  # fmt: skip
Place = tuple[int, str]
"""The first line of a function and its own name."""

_LONGEST_SHOWN = 160
_TELLING = (
    "return", "negation", "no call", "comparison", "logic", "condition", "arithmetic", "flow", "unary", "case",
    "assignment", "number", "boolean", "argument", "method", "lambda", "name", "string",
)  # fmt: skip


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


@dataclass(frozen=True)
class Mutant:
    """One change. `statement` is the one at the top of the file that it is in, `lines` those whose run
    means that it was reached, `default` the parameter whose default value it changes.
    """

    id: str
    function: str
    line: int
    operator: str
    slot: Slot
    node: ast.AST
    statement: ast.stmt
    lines: range
    before: str
    after: str
    default: tuple[int, str | int] | None = None

    @property
    def telling(self) -> int:
        """The smaller, the more a survivor of its kind says about the tests."""
        return _TELLING.index(self.operator)


@dataclass
class _Place:
    """Where the walk is. `statement` is the innermost one, `shown` the slot whose text is shown."""

    top: ast.stmt
    names: tuple[str, ...] = ()
    functions: int = 0
    statement: ast.stmt | None = None
    shown: Slot | None = None
    default: tuple[int, str | int] | None = None

    def inside(self, **changes: object) -> _Place:
        return _Place(**{**self.__dict__, **changes})  # pyright: ignore[reportArgumentType]


@dataclass
class File:
    """A source file, parsed once; mutants are put into the tree one at a time."""

    path: str
    text: str
    tree: ast.Module = field(init=False)
    flags: int = field(init=False, default=0)
    lines: list[str] = field(init=False)
    _free: dict[int, dict[Place, tuple[str, ...]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text, self.path)
        self.lines = self.text.splitlines()
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                for name in node.names:
                    self.flags |= getattr(futures, name.name).compiler_flag

    def compile(self, statement: ast.stmt) -> CodeType:
        """The code of one statement of the file, at its place in it."""
        module = ast.Module([statement], [])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(module, self.path, "exec", self.flags, dont_inherit=True)

    def mutants(self) -> Iterator[Mutant]:
        """Every mutant that differs from the file and from those before it, in the order of the file."""
        numbers: dict[str, int] = {}
        for statement in self.tree.body:
            code = self.compile(statement)
            self._free[id(statement)] = {
                (inner.co_firstlineno, inner.co_name): inner.co_freevars for inner in codes(code)
            }
            seen = [_essence(code)]
            for slot, place, name, node in _walk_statement(statement):
                made = self._make(slot, place, name, node)
                if place.default is None:
                    essence = self._essence_of(made)
                    if essence is None or essence in seen:
                        continue
                    seen.append(essence)
                numbers[made.function] = numbers.get(made.function, 0) + 1
                yield self._numbered(made, numbers[made.function])

    def mutated(self, mutant: Mutant) -> CodeType:
        """The code of the mutant's statement; the tree is as before afterwards.

        Raises SyntaxError or ValueError where the change is no Python.
        """
        old = mutant.slot.get()
        mutant.slot.put(mutant.node)
        try:
            code = self.compile(mutant.statement)
            lost = self._lost_variables(mutant.statement, code)
            return self._keeping(mutant.statement, lost) if lost else code
        finally:
            mutant.slot.put(old)

    def _lost_variables(self, statement: ast.stmt, code: CodeType) -> dict[Place, tuple[str, ...]]:
        """Variables of their surroundings that functions used before, and no longer do.

        The cells that a function holds cannot be changed, so its code must go on naming all of them.
        """
        before = self._free.get(id(statement))
        if before is None:
            raise ValueError("mutants come from `mutants`")
        lost: dict[Place, tuple[str, ...]] = {}
        for inner in codes(code):
            place = (inner.co_firstlineno, inner.co_name)
            names = tuple(name for name in before.get(place, ()) if name not in inner.co_freevars)
            if names:
                lost[place] = names
        return lost

    def _keeping(self, statement: ast.stmt, lost: dict[Place, tuple[str, ...]]) -> CodeType:
        added: list[list[ast.stmt]] = []
        for node in ast.walk(statement):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                names = lost.get((line, node.name), ())
                if names:
                    uses: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in names]
                    dead = ast.If(ast.Constant(False), uses, [])
                    ast.copy_location(dead, node.body[-1])
                    ast.fix_missing_locations(dead)
                    node.body.append(dead)
                    added.append(node.body)
        try:
            return self.compile(statement)
        finally:
            for body in added:
                body.pop()

    def _essence_of(self, mutant: Mutant) -> object:
        try:
            return _essence(self.mutated(mutant))
        except (SyntaxError, ValueError, TypeError):
            return None

    def _make(self, slot: Slot, place: _Place, name: str, node: ast.AST) -> Mutant:
        old = slot.get()
        _take_place(old, node)
        before, after = self._show(slot, place.shown or slot, old, node)
        inner = place.statement or place.top
        return Mutant(
            id="",
            function=".".join(place.names),
            line=getattr(old, "lineno", inner.lineno),
            operator=name,
            slot=slot,
            node=node,
            statement=place.top,
            lines=_own_lines(inner),
            before=before,
            after=after,
            default=place.default,
        )

    def _numbered(self, mutant: Mutant, number: int) -> Mutant:
        values = {**mutant.__dict__, "id": f"{mutant.function}:{number}"}
        return Mutant(**values)

    def _show(self, slot: Slot, shown: Slot, old: ast.AST, node: ast.AST) -> tuple[str, str]:
        """The line as it is, and as the mutant has it; a longer expression on one line."""
        visible = shown.get()
        if isinstance(visible, ast.stmt):
            before = ast.unparse(visible)
            slot.put(node)
            after = ast.unparse(shown.get())
            slot.put(old)
            pairs = zip(before.splitlines(), after.splitlines())
            changed = next(((a, b) for a, b in pairs if a != b), None)
            if changed is None:
                changed = (before.partition("\n")[0], after.partition("\n")[0])
            return _cut(changed[0]), _cut(changed[1])
        line, end = getattr(visible, "lineno", 0), getattr(visible, "end_lineno", 0)
        if not line:
            return _cut(ast.unparse(old)), _cut(ast.unparse(node))
        slot.put(node)
        text = ast.unparse(shown.get())
        slot.put(old)
        rows = self.lines[line - 1 : end]
        head = rows[0].encode()[: getattr(visible, "col_offset", 0)].decode(errors="replace")
        tail = rows[-1].encode()[getattr(visible, "end_col_offset", 0) :].decode(errors="replace")
        bare = isinstance(node, (ast.BoolOp, ast.IfExp, ast.BinOp, ast.Compare, ast.UnaryOp))
        if bare and not (head.endswith("(") and tail.startswith(")")):
            text = _in_context(shown.parent, text)
        return _cut(" ".join(row.strip() for row in rows)), _cut(head + text + tail)


def _in_context(parent: ast.AST, text: str) -> str:
    """Parenthesised where the text would be read otherwise next to its neighbours."""
    tight = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Attribute, ast.Subscript)
    return f"({text})" if isinstance(parent, tight) else text


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _take_place(old: ast.AST, new: ast.AST) -> None:
    """Give the new nodes the place of the old one; those that it shares with it keep theirs."""
    spot: ast.AST = old
    if not hasattr(old, "lineno"):
        return
    for node in ast.walk(new):
        if "lineno" in node._attributes and not hasattr(node, "lineno"):
            ast.copy_location(node, spot)


def _own_lines(statement: ast.stmt) -> range:
    """The lines of a statement itself, without those of the statements inside it."""
    end = getattr(statement, "end_lineno", None) or statement.lineno
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if isinstance(body, list) and body:
        first: ast.AST = body[0]  # pyright: ignore[reportUnknownVariableType]
        inside = getattr(first, "lineno", None) or getattr(
            getattr(first, "pattern", None), "lineno", end
        )
        end = max(statement.lineno, min(end, inside - 1))
    return range(statement.lineno, end + 1)


def codes(code: CodeType) -> Iterator[CodeType]:
    """The code of everything that is defined inside a piece of code."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from codes(one)


def _essence(code: CodeType) -> object:
    """What code does, without where it stands."""
    constants = tuple(
        _essence(one) if isinstance(one, CodeType) else (type(one).__name__, repr(one))
        for one in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


_Found = tuple[Slot, _Place, str, ast.AST]


def _walk_statement(statement: ast.stmt) -> Iterator[_Found]:
    root = ast.Module([statement], [])
    yield from _walk(root, _Place(statement))


def _walk(node: ast.AST, place: _Place) -> Iterator[_Found]:
    for slot, child in _children(node):
        if not _is_junk(slot, child):
            yield from _visit(slot, child, place)


def _visit(slot: Slot, node: ast.AST, place: _Place) -> Iterator[_Found]:
    if isinstance(node, ast.stmt):
        place = place.inside(statement=node, shown=None)
    if isinstance(node, ast.JoinedStr):
        place = place.inside(shown=place.shown or slot)
    if place.functions:
        for name, new in operators.changes(node):
            yield slot, _showing(place, node, slot), name, new
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        inner = place.inside(names=(*place.names, node.name), functions=place.functions + 1)
        yield from _defaults(node, inner)
        for number, child in enumerate(node.body):
            slot = Slot(node, "body", number)
            if not _is_junk(slot, child):
                yield from _visit(slot, child, inner)
    elif isinstance(node, ast.ClassDef):
        yield from _walk(node, place.inside(names=(*place.names, node.name)))
    else:
        yield from _walk(node, place)


def _showing(place: _Place, node: ast.AST, slot: Slot) -> _Place:
    """Nodes without a place of their own are shown by the text of what they are in."""
    if place.shown is None and not hasattr(node, "lineno"):
        return place.inside(shown=Slot(slot.parent, slot.field, slot.index))
    return place


def _defaults(function: ast.FunctionDef | ast.AsyncFunctionDef, place: _Place) -> Iterator[_Found]:
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
            inner = place.inside(default=(line, which), statement=first[0])
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
