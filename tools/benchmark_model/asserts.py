"""Take assert-style tests apart: what calls the answer on one side, what is expected on the other.

Only tests that are data can be taken apart: straight lines whose asserts compare with literals. Then the
calls are made in the answer's process, and the comparison elsewhere.
"""

import ast
import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

from .task import Case, Check

CHECK = "__check__"
RAISES = "__raises__"
"""Names that a case's code calls with a value, or with a function that should raise."""

_BUILTINS = frozenset(dir(builtins))
_CALLS: dict[str, Callable[..., Any]] = {
    "set": set,
    "frozenset": frozenset,
    "tuple": tuple,
    "list": list,
    "dict": dict,
}
_LARGEST_POWER = 10_000


class NotData(Exception):
    """The tests have to be run as they are."""


def case_of(body: Sequence[ast.stmt], names: frozenset[str], *, setup: bool = False) -> Case:
    """Make a case of statements that call the answer by `names`.

    `setup` allows statements other than asserts; they are run where the answer is. Raises NotData.
    """
    taker = _Taker(names, setup)
    for statement in body:
        taker.take(statement)
    if not taker.checks:
        raise NotData("there is no assert")
    module = ast.fix_missing_locations(ast.Module(taker.code, []))
    return Case(ast.unparse(module), tuple(taker.checks))


def literal(node: ast.expr) -> Any:
    """The value of an expression without names. Raises NotData."""
    try:
        return _literal(node)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise NotData("it is no literal") from error


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.BinOp():
            return _arithmetic(node)
        case ast.Call(ast.Name("float"), [ast.Constant(str() as text)], []):
            return float(text)
        case ast.Call(ast.Name(name), arguments, []) if name in _CALLS and len(arguments) <= 1:
            return _CALLS[name](*map(_literal, arguments))
        case ast.List(items):
            return [_literal(item) for item in items]
        case ast.Tuple(items):
            return tuple(_literal(item) for item in items)
        case ast.Set(items):
            return {_literal(item) for item in items}
        case ast.Dict(keys, values) if None not in keys:
            return {_literal(k): _literal(v) for k, v in zip(keys, values, strict=True) if k}
        case ast.Attribute(ast.Name("math"), "inf" | "pi" | "e" | "nan" as name):
            return getattr(math, name)
        case _:
            return ast.literal_eval(node)


def _arithmetic(node: ast.BinOp) -> Any:
    left: Any = _literal(node.left)
    right: Any = _literal(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult() if _is_small(left, right):
            return left * right
        case ast.Div():
            return left / right
        case ast.FloorDiv():
            return left // right
        case ast.Mod() if isinstance(left, int | float):
            return left % right
        case ast.Pow() if -_LARGEST_POWER <= right <= _LARGEST_POWER >= left:
            return left**right
        case _:
            raise NotData("it is no literal")


def _is_small(left: Any, right: Any) -> bool:
    count = next((side for side in (left, right) if isinstance(side, int)), 0)
    sized = any(isinstance(side, str | bytes | list | tuple) for side in (left, right))
    return not sized or count <= _LARGEST_POWER * 100


class _Taker:
    def __init__(self, names: frozenset[str], setup: bool) -> None:
        self._names = names
        self._setup = setup
        self._defined: set[str] = set()
        self.code: list[ast.stmt] = []
        self.checks: list[Check] = []

    def take(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assert(ast.Constant(value)) if value:
                return
            case ast.Assert(condition):
                self._condition(condition, statement)
            case ast.With([ast.withitem(ast.Call(ast.Name("raises"), [ast.Name(name)], []), None)],
                          body):  # fmt: skip
                self._raises(name, body, statement)
            case ast.Pass():
                return
            case _ if self._setup:
                self._known(statement)
                self._defined |= _assigned(statement)
                self.code.append(statement)
            case _:
                raise NotData("there is more than asserts")

    def _condition(self, condition: ast.expr, whole: ast.stmt) -> None:
        match condition:
            case ast.BoolOp(ast.And(), parts):
                for part in parts:
                    self._condition(part, whole)
            case ast.UnaryOp(ast.Not(), inner):
                self._check(_call("bool", inner), Check(_shown(whole), False, relation="strict"))
            case ast.Compare(left, [ast.Eq()], [right]):
                self._equality(left, right, whole)
            case ast.Compare(left, [ast.Is()], [ast.Constant(None | True | False as value)]):
                self._check(left, Check(_shown(whole), value, relation="strict"))
            case ast.Compare(left, [ast.Lt() | ast.LtE()], [right]):
                self._distance(left, literal(right), whole)
            case ast.Call():
                self._truth(condition, whole)
            case _:
                raise NotData("an assert is no comparison with a literal")

    def _equality(self, left: ast.expr, right: ast.expr, whole: ast.stmt) -> None:
        try:
            expected = literal(right)
        except NotData:
            left, expected = right, literal(left)
        self._check(left, Check(_shown(whole), expected))

    def _distance(self, left: ast.expr, tolerance: Any, whole: ast.stmt) -> None:
        match left:
            case ast.Call(
                ast.Name("abs") | ast.Attribute(ast.Name("math"), "fabs"),
                [ast.BinOp(near, ast.Sub(), target)],
                [],
            ) if isinstance(tolerance, int | float):
                self._close(near, target, whole, tolerance=float(tolerance))
            case _:
                raise NotData("an assert is no comparison with a literal")

    def _close(
        self,
        near: ast.expr,
        target: ast.expr,
        whole: ast.stmt,
        tolerance: float,
        relative: float = 0.0,
    ) -> None:
        try:
            expected = literal(target)
        except NotData:
            near, expected = target, literal(near)
        check = Check(
            _shown(whole), expected, relation="close", tolerance=tolerance, relative=relative
        )
        self._check(near, check)

    def _truth(self, condition: ast.Call, whole: ast.stmt) -> None:
        match condition:
            case ast.Call(
                ast.Attribute(ast.Name("math"), "isclose") | ast.Name("isclose"),
                [near, target],
                keywords,
            ):
                given = {word.arg: literal(word.value) for word in keywords}
                absolute, relative = given.get("abs_tol", 0.0), given.get("rel_tol", 1e-9)
                self._close(near, target, whole, tolerance=absolute, relative=relative)
            case _:
                self._check(_call("bool", condition), Check(_shown(whole), True, relation="strict"))

    def _raises(self, name: str, body: list[ast.stmt], whole: ast.stmt) -> None:
        if len(body) != 1 or not isinstance(body[0], ast.Expr):
            raise NotData("what should raise is not one expression")
        self._known(body[0])
        arguments = ast.arguments([], [], None, [], [], None, [])
        deferred = ast.Lambda(arguments, body[0].value)
        self.code.append(ast.Expr(_call(RAISES, deferred)))
        self.checks.append(Check(_shown(whole), raises=name))

    def _check(self, value: ast.expr, check: Check) -> None:
        if not any(name in self._names or name in self._defined for name in _names(value)):
            raise NotData("an assert does not call the answer")
        self._known(value)
        self.code.append(ast.Expr(_call(CHECK, value)))
        self.checks.append(check)

    def _known(self, node: ast.AST) -> None:
        known = self._names | self._defined | _BUILTINS | _bound(node)
        unknown = _names(node) - known
        if unknown:
            raise NotData(f"it uses {', '.join(sorted(unknown))}")


def _call(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


def _names(node: ast.AST) -> set[str]:
    return {
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)
    }


def _bound(node: ast.AST) -> set[str]:
    """Names that an expression binds itself: of comprehensions and lambdas."""
    inner = {
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load)
    }
    return inner | {child.arg for child in ast.walk(node) if isinstance(child, ast.arg)}


def _assigned(node: ast.stmt) -> set[str]:
    defined = _bound(node)
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            defined.add(child.name)
        elif isinstance(child, ast.alias):
            defined.add((child.asname or child.name).partition(".")[0])
    return defined


def _shown(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Assert):
        return ast.unparse(statement.test)
    return ast.unparse(statement)
