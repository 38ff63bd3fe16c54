"""Smells of what a test checks: checks that hold anyway, that are not made, or that repeat the source."""

import ast
import difflib
from collections.abc import Iterator, Mapping

from .findings import Finding
from .names import Function, Source, expected_of

_LEAST_COPIED_NODES = 12
_LEAST_ALIKE = 0.7
_BROAD = {"Exception", "BaseException"}
_MAY_RAISE = (ast.Call, ast.Attribute, ast.Subscript, ast.BinOp, ast.Await)
_MISSPELT = {
    "called_once",
    "called_once_with",
    "called_with",
    "has_calls",
    "any_call",
    "not_called",
}


def tautologies(test: Function) -> Iterator[Finding]:
    """Checks that hold whatever the source does; only noted where the test has others."""
    checks = [(_always_true(check), line) for check, line in _checks(test)]
    alone = all(why for why, _ in checks)
    for why, line in checks:
        if why:
            message = f"This check always holds: {why}."
            yield Finding("tautology", message, line, severity="mend" if alone else "note")


def _checks(test: Function) -> Iterator[tuple[ast.expr, int]]:
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            yield node.test, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, args = node.func.attr, node.args
            if name == "assertTrue" and args:
                yield args[0], node.lineno
            elif name in {"assertEqual", "assertIs"} and len(args) > 1:
                yield ast.Compare(args[0], [ast.Eq()], [args[1]]), node.lineno


def _always_true(check: ast.expr) -> str:
    if isinstance(check, ast.Tuple) and check.elts:
        return "a tuple that is not empty is true; leave out the parentheses"
    if isinstance(check, ast.Constant) and check.value:
        return f"it is the constant {ast.unparse(check)}"
    if isinstance(check, ast.BoolOp):
        whys = [_always_true(value) for value in check.values]
        if isinstance(check.op, ast.Or) and any(whys):
            return "one side of the `or` is always true"
    if isinstance(check, ast.Compare) and len(check.ops) == 1:
        return _compared(check.left, check.ops[0], check.comparators[0])
    return ""


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
    same = isinstance(operator, ast.Eq | ast.Is) and ast.dump(left) == ast.dump(right)
    # Two calls may be what is tested: that they give one object, say.
    if same and not any(isinstance(node, ast.Call) for node in ast.walk(left)):
        return f"`{ast.unparse(left)}` is compared with itself"
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        return "two constants are compared"
    is_length = isinstance(left, ast.Call) and ast.unparse(left.func) == "len"
    if is_length and isinstance(operator, ast.GtE) and ast.unparse(right) == "0":
        return "no length is below 0"
    return ""


def swallowed(test: Function) -> Iterator[Finding]:
    """A handler that drops the failure of a check."""
    for node in ast.walk(test):
        if not isinstance(node, ast.Try):
            continue
        checked = any(isinstance(inner, ast.Assert) for one in node.body for inner in ast.walk(one))
        for handler in node.handlers:
            caught = ast.unparse(handler.type) if handler.type else "everything"
            if checked and _catches_assertions(handler.type) and _drops(handler):
                message = f"`except` catches {caught}, so the failure of a check above is dropped."
                yield Finding("swallowed", message, handler.lineno)


def _catches_assertions(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(ast.unparse(one) in {*_BROAD, "AssertionError"} for one in kinds)


def _drops(handler: ast.ExceptHandler) -> bool:
    """Nothing in the handler can fail."""
    return not any(
        isinstance(node, ast.Raise | ast.Assert)
        or (isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "fail")
        for one in handler.body
        for node in ast.walk(one)
    )


def broad_raises(test: Function, known: Mapping[str, Source]) -> Iterator[Finding]:
    """`raises(Exception)`: a typo in the test would do as well."""
    raised = {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for source in known.values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Raise) and node.exc
    }
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).rpartition(".")[2]
            kind = ast.unparse(node.args[0])
            precise = any(keyword.arg == "match" for keyword in node.keywords)
            if name in {"raises", "assertRaises"} and kind in _BROAD - raised and not precise:
                message = (
                    f"`{kind}` is any exception at all, a mistake in the test too: name the one."
                )
                yield Finding("broad_raises", message, node.lineno)


def after_raise(test: Function) -> Iterator[Finding]:
    """A check at the end of a block that must raise: where it held, nothing was raised. It may raise itself."""
    for node in ast.walk(test):
        if not isinstance(node, ast.With) or len(node.body) < 2:
            continue
        last, expected = node.body[-1], expected_of(node)
        if isinstance(last, ast.Assert) and expected and "AssertionError" not in expected:
            message = "This check never holds, as the block must raise before its end: put it after the block."
            raises = any(isinstance(one, _MAY_RAISE) for one in ast.walk(last.test))
            severity = "note" if raises else "mend"
            yield Finding("not_called", message, last.lineno, severity=severity)


def returned(test: Function) -> Iterator[Finding]:
    """A result that is given back to nobody."""
    for node in _own(test):
        if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
            message = "A test's return value is ignored: write `assert`, not `return`."
            yield Finding("returns", message, node.lineno)


def _own(test: Function) -> Iterator[ast.AST]:
    """Nodes of the function itself, not of those that it defines."""
    waiting: list[ast.AST] = [*test.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def not_called(test: Function, tree: ast.Module) -> Iterator[Finding]:
    """Checks that are only named, and mocks that take a misspelt check for a call like any other."""
    functions = {n.name for n in [*tree.body, *ast.walk(test)] if isinstance(n, Function)}
    for node in ast.walk(test):
        checked = node.test if isinstance(node, ast.Assert) else None
        if isinstance(checked, ast.Name) and checked.id in functions:
            message = f"`{checked.id}` is a function, which is always true: call it."
            yield Finding("not_called", message, checked.lineno)
        if not isinstance(node, ast.Expr):
            continue
        value = node.value
        if isinstance(value, ast.Attribute) and value.attr.startswith("assert_"):
            message = f"`{value.attr}` is named and not called."
            yield Finding("not_called", message, node.lineno)
        called = value.func if isinstance(value, ast.Call) else value
        if isinstance(called, ast.Attribute) and called.attr in _MISSPELT:
            message = f"`{called.attr}` checks nothing: it is spelt `assert_{called.attr}`."
            yield Finding("not_called", message, node.lineno, f"assert_{called.attr}")


def without_check(test: Function, tree: ast.Module) -> Iterator[Finding]:
    """Nothing that looks like a check, here or in a function of the file that it calls. A hint: code may check by raising."""
    own = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
    seen, waiting = set[str](), [test]
    while waiting:
        function = waiting.pop()
        for node in ast.walk(function):
            if isinstance(node, ast.Assert | ast.Raise) or _is_check(node):
                return
            name = _called_name(node)
            if name in own and name not in seen:
                seen.add(name)
                waiting.append(own[name])
    yield Finding("no_check", "It checks nothing.", test.lineno, severity="note")


def _called_name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func).rpartition(".")[2]


def _is_check(node: ast.AST) -> bool:
    name = _called_name(node)
    return name.startswith(("assert", "expect", "check", "verify")) or name in {
        "raises",
        "warns",
        "fail",
    }


def copies(test: Function, known: Mapping[str, Source]) -> Iterator[Finding]:
    """Expected values that are worked out as the source does it."""
    results = {
        _shape(node.value): (source.name, node.lineno)
        for source in known.values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Return | ast.Assign) and node.value and _is_large(node.value)
    }
    reported: set[int] = set()
    for node in ast.walk(test):
        if isinstance(node, ast.expr) and _is_large(node) and node.lineno not in reported:
            where = results.get(_shape(node))
            if where:
                reported.add(node.lineno)
                message = (
                    f"This is line {where[1]} of `{where[0]}` over again: "
                    "write the value that is expected, or a mistake in it is expected too."
                )
                yield Finding("copies", message, node.lineno)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getsource"):
            message = "The source's own text is run again instead of being tested."
            yield Finding("copies", message, node.lineno)


def own_copies(tree: ast.Module, known: Mapping[str, Source]) -> Iterator[Finding]:
    """Functions of the source that the test file defines once more, and so tests instead."""
    for node in tree.body:
        for source in known.values():
            same = source.functions.get(getattr(node, "name", ""))
            if isinstance(node, Function) and same is not None and _alike(node, same):
                message = (
                    f"`{node.name}` of `{source.name}` is defined here again, "
                    "so the tests below call this one: import it."
                )
                yield Finding("copies", message, node.lineno)


def _body(function: Function) -> list[ast.stmt]:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if documented else function.body


def _alike(one: Function, other: Function) -> bool:
    """The same name alone may be chance: a fixture is called like what it gives."""
    texts = ["\n".join(map(ast.unparse, _body(function))) for function in (one, other)]
    return difflib.SequenceMatcher(None, *texts, autojunk=False).ratio() >= _LEAST_ALIKE


def _is_large(node: ast.AST) -> bool:
    return sum(1 for _ in ast.walk(node)) >= _LEAST_COPIED_NODES and any(
        isinstance(one, ast.BinOp | ast.Call | ast.comprehension) for one in ast.walk(node)
    )


class _Nameless(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("_", ast.Load())


def _shape(node: ast.AST) -> str:
    """An expression without the names of its variables."""
    copied = ast.parse(ast.unparse(node), mode="eval")
    return ast.dump(_Nameless().visit(copied))
