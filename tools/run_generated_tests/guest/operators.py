"""What can be changed in one node: mutation operators over the AST.

They are those of mutmut, so that verdicts can be compared mutant by mutant, and three that tell more than any of
them: a value that is not returned, a condition that is turned round, a call that is not made.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

Change = tuple[str, ast.AST]
"""An operator's name, and the node that takes the place of the one it was made for."""

Operator = Callable[[Any], Iterator[Change]]

_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Div,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.Pow: ast.Mult,
}
_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_METHODS = {
    "lower": "upper",
    "lstrip": "rstrip",
    "find": "rfind",
    "ljust": "rjust",
    "index": "rindex",
    "removeprefix": "removesuffix",
    "partition": "rpartition",
}
_METHODS.update({new: old for old, new in list(_METHODS.items())})


def changes(node: ast.AST) -> Iterator[Change]:
    """Every change of this node itself; its children have their own."""
    for kind, operator in _OPERATORS:
        if isinstance(node, kind):
            yield from operator(node)


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "boolean", ast.Constant(not value)
    elif isinstance(value, complex):
        yield "number", ast.Constant(value + 1j)
    elif isinstance(value, (int, float)):
        if value + 1 != value:
            yield "number", ast.Constant(value + 1)
    elif isinstance(value, str):
        for new in ("XX" + value + "XX", value.lower(), value.upper()):
            if new != value:
                yield "string", ast.Constant(new)
    elif isinstance(value, bytes):
        for changed in (b"XX" + value + b"XX", value.lower(), value.upper()):
            if changed != value:
                yield "string", ast.Constant(changed)


def _name(node: ast.Name) -> Iterator[Change]:
    if node.id == "deepcopy":
        yield "name", ast.Name("copy", node.ctx)


def _assignment(node: ast.Assign | ast.AnnAssign) -> Iterator[Change]:
    if node.value is not None:
        changed = copy.copy(node)
        is_none = isinstance(node.value, ast.Constant) and node.value.value is None
        changed.value = ast.Constant("" if is_none else None)
        yield "assignment", changed


def _augmented(node: ast.AugAssign) -> Iterator[Change]:
    yield "assignment", ast.Assign([node.target], node.value)
    new = _BINARY.get(type(node.op))
    if new is not None:
        yield "arithmetic", ast.AugAssign(node.target, new(), node.value)


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, (ast.Not, ast.Invert)):
        yield "unary", node.operand
    elif isinstance(node.op, ast.UAdd):
        yield "arithmetic", ast.UnaryOp(ast.USub(), node.operand)
    else:
        yield "arithmetic", ast.UnaryOp(ast.UAdd(), node.operand)


def _binary(node: ast.BinOp) -> Iterator[Change]:
    new = _BINARY.get(type(node.op))
    if new is not None:
        yield "arithmetic", ast.BinOp(node.left, new(), node.right)


def _compare(node: ast.Compare) -> Iterator[Change]:
    for number, operator in enumerate(node.ops):
        new = _COMPARISON.get(type(operator))
        if new is not None:
            operators = [*node.ops[:number], new(), *node.ops[number + 1 :]]
            yield "comparison", ast.Compare(node.left, operators, node.comparators)


def _boolean(node: ast.BoolOp) -> Iterator[Change]:
    """`a and b and c` is `(a and b) and c`, and each of the two can be turned into an `or`."""
    old = type(node.op)
    new = ast.Or if old is ast.And else ast.And
    for number in range(1, len(node.values)):
        left, rest = node.values[:number], node.values[number + 1 :]
        first = left[0] if len(left) == 1 else ast.BoolOp(old(), left)
        turned = ast.BoolOp(new(), [first, node.values[number]])
        yield "logic", ast.BoolOp(old(), [turned, *rest]) if rest else turned


def _call(node: ast.Call) -> Iterator[Change]:
    yield from _keywords_of_dict(node)
    given: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    for one in given:
        value = one.value if isinstance(one, (ast.keyword, ast.Starred)) else one
        starred = isinstance(one, ast.Starred) or (isinstance(one, ast.keyword) and one.arg is None)
        if not starred and not _is_none(value):
            none = ast.keyword(one.arg, _none()) if isinstance(one, ast.keyword) else _none()
            yield "argument", _with(node, one, none)
    if len(given) > 1:
        for one in given:
            yield "argument", _with(node, one, None)
    yield from _method(node)


def _with(node: ast.Call, old: ast.AST, new: ast.AST | None) -> ast.Call:
    args = [new if arg is old else arg for arg in node.args]
    keywords = [new if keyword is old else keyword for keyword in node.keywords]
    return ast.Call(
        node.func,
        [arg for arg in args if isinstance(arg, ast.expr)],
        [keyword for keyword in keywords if isinstance(keyword, ast.keyword)],
    )


def _keywords_of_dict(node: ast.Call) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        for keyword in node.keywords:
            if keyword.arg is None:
                return
            yield "argument", _with(node, keyword, ast.keyword(keyword.arg + "XX", keyword.value))


def _method(node: ast.Call) -> Iterator[Change]:
    if not isinstance(node.func, ast.Attribute):
        return
    new = _METHODS.get(node.func.attr)
    limited = len(node.args) == 2 or any(one.arg == "maxsplit" for one in node.keywords)
    if node.func.attr in {"split", "rsplit"} and limited:
        new = "rsplit" if node.func.attr == "split" else "split"
    if new is not None:
        function = ast.Attribute(node.func.value, new, node.func.ctx)
        yield "method", ast.Call(function, node.args, node.keywords)


def _lambda(node: ast.Lambda) -> Iterator[Change]:
    yield "lambda", ast.Lambda(node.args, ast.Constant(0) if _is_none(node.body) else _none())


def _if_expression(node: ast.IfExp) -> Iterator[Change]:
    for operator, value in ((ast.And(), False), (ast.Or(), True)):
        test = ast.BoolOp(operator, [node.test, ast.Constant(value)])
        yield "condition", ast.IfExp(test, node.body, node.orelse)


def _break(node: ast.Break) -> Iterator[Change]:
    yield "flow", ast.Return()


def _continue(node: ast.Continue) -> Iterator[Change]:
    yield "flow", ast.Break()


def _condition(node: ast.If | ast.While) -> Iterator[Change]:
    if not isinstance(node.test, ast.Constant) and not _is_negated_elsewhere(node.test):
        changed = copy.copy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield "negation", changed


def _is_negated_elsewhere(test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp):
        return isinstance(test.op, ast.Not)
    exact = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], exact)


def _return(node: ast.Return) -> Iterator[Change]:
    if node.value is not None and not _is_none(node.value):
        yield "return", ast.Return(_none())


def _statement(node: ast.Expr) -> Iterator[Change]:
    value = node.value.value if isinstance(node.value, ast.Await) else node.value
    if isinstance(value, ast.Call):
        yield "no call", ast.Pass()


def _match(node: ast.AST) -> Iterator[Change]:
    cases = getattr(node, "cases", [])
    if len(cases) > 1:
        for number in range(len(cases)):
            changed = copy.copy(node)
            setattr(changed, "cases", [*cases[:number], *cases[number + 1 :]])  # noqa: B010 - not in 3.9
            yield "case", changed


def _singleton(node: ast.AST) -> Iterator[Change]:
    value = getattr(node, "value", None)
    if isinstance(value, bool):
        changed = copy.copy(node)
        setattr(changed, "value", not value)  # noqa: B010 - not in 3.9
        yield "boolean", changed


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _none() -> ast.Constant:
    return ast.Constant(None)


_NEVER: type[ast.AST] = type("_Never", (ast.AST,), {})
# Each is called with nodes of its own kind only.
_OPERATORS: list[tuple[type[ast.AST] | tuple[type[ast.AST], ...], Operator]] = [
    (ast.Constant, _constant),
    (ast.Name, _name),
    ((ast.Assign, ast.AnnAssign), _assignment),
    (ast.AugAssign, _augmented),
    (ast.UnaryOp, _unary),
    (ast.BinOp, _binary),
    (ast.Compare, _compare),
    (ast.BoolOp, _boolean),
    (ast.Call, _call),
    (ast.Lambda, _lambda),
    (ast.IfExp, _if_expression),
    (ast.Break, _break),
    (ast.Continue, _continue),
    ((ast.If, ast.While), _condition),
    (ast.Return, _return),
    (ast.Expr, _statement),
    (getattr(ast, "Match", _NEVER), _match),  # both since 3.10
    (getattr(ast, "MatchSingleton", _NEVER), _singleton),
]
