"""The mutants of a file: where each is, what it shows, and how it is made and undone.

What compiles to what was there before, or to what another mutant is, is left out.
"""

from __future__ import annotations
import __future__ as futures

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import CodeType

from .sites import Place, Slot, sites

Where = tuple[int, str]
"""The first line of a function and its own name."""

_LONGEST_SHOWN = 160
_TELLING = (
    "return", "negation", "no call", "comparison", "logic", "condition", "arithmetic", "flow", "unary", "case",
    "assignment", "number", "boolean", "argument", "method", "lambda", "name", "string",
)  # fmt: skip


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
class File:
    """A source file, parsed once; mutants are put into the tree one at a time."""

    path: str
    text: str
    tree: ast.Module = field(init=False)
    flags: int = field(init=False, default=0)
    lines: list[str] = field(init=False)
    _free: dict[int, dict[Where, tuple[str, ...]]] = field(
        init=False, default_factory=dict[int, dict[Where, tuple[str, ...]]]
    )

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

    def mutants(self, lines: frozenset[int] | None = None) -> Iterator[Mutant]:
        """Every mutant that differs from the file and from those before it, in the order of the file. Given
        `lines`, only those of the outermost statements that they are in.
        """
        numbers: dict[str, int] = {}
        for statement in self.tree.body:
            span = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
            if lines is not None and lines.isdisjoint(span):
                continue
            code = self.compile(statement)
            self._free[id(statement)] = {
                (inner.co_firstlineno, inner.co_name): inner.co_freevars for inner in codes(code)
            }
            seen = [_essence(code)]
            for slot, place, name, node in sites(statement):
                made = self._make(slot, place, name, node)
                # Numbered before any is left out: what compilers find equal differs between versions.
                numbers[made.function] = numbers.get(made.function, 0) + 1
                if place.default is None:
                    essence = self._essence_of(made)
                    if essence is None or essence in seen:
                        continue
                    seen.append(essence)
                yield replace(made, id=f"{made.function}:{numbers[made.function]}")

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

    def _lost_variables(self, statement: ast.stmt, code: CodeType) -> dict[Where, tuple[str, ...]]:
        """Variables of their surroundings that functions used before, and no longer do.

        The cells that a function holds cannot be changed, so its code must go on naming all of them.
        """
        before = self._free.get(id(statement))
        if before is None:
            raise ValueError("mutants come from `mutants`")
        lost: dict[Where, tuple[str, ...]] = {}
        for inner in codes(code):
            place = (inner.co_firstlineno, inner.co_name)
            names = tuple(name for name in before.get(place, ()) if name not in inner.co_freevars)
            if names:
                lost[place] = names
        return lost

    def _keeping(self, statement: ast.stmt, lost: dict[Where, tuple[str, ...]]) -> CodeType:
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

    def _make(self, slot: Slot, place: Place, name: str, node: ast.AST) -> Mutant:
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
    body: list[ast.AST] = getattr(statement, "body", []) or getattr(statement, "cases", [])
    if body:
        first = body[0]
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
