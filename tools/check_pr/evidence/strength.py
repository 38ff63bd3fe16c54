"""How much a test checks, as it is written."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...run_generated_tests.suite import called, parsed, written_tests

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_EXACT_CALLS = (
    "assertequal",
    "assert_equal",
    "assertis",
    "assert_called_once_with",
    "assertraises",
)
_CHECKS = ("assert", "raises", "warns", "fail", "deprecated_call")


@dataclass(frozen=True, slots=True)
class Strength:
    """Checks of a test; `exact` are those that leave one value only, `swallowed` the places where a
    failure is caught; `text` is the test without its layout, `line` where it begins.
    """

    checks: int
    exact: int
    swallowed: int
    text: str
    line: int = 0

    def weaker_than(self, other: "Strength") -> str:
        """In what it checks less than another version of it; empty if it does not."""
        if self.checks < other.checks:
            return f"It has {_checks(self.checks)}; base's version has {other.checks}"
        if self.swallowed > other.swallowed:
            return "It catches or excuses what its checks find"
        if self.exact < other.exact and self.checks == other.checks:
            return "It no longer compares with one exact value where base's version does"
        return ""


def _checks(count: int) -> str:
    return f"{count} check" if count == 1 else f"{count} checks"


def strengths(path: str, text: str) -> Mapping[str, Strength]:
    """The tests of a file by `Class::function` or `function`; none of a file that is no Python. Each is
    looked at when it is asked for.
    """
    if not path.endswith(".py"):
        return {}
    tree = parsed(text)
    return _Strengths(written_tests(tree)) if tree is not None else {}


def functions(text: str) -> Mapping[str, Strength]:
    """All functions of a module and methods of its classes, as `strengths` has tests."""
    tree = parsed(text)
    return _Strengths(dict(_functions(tree))) if tree is not None else {}


def _functions(node: ast.Module | ast.ClassDef, scope: str = "") -> Iterator[tuple[str, _Function]]:
    for one in node.body:
        if isinstance(one, _Function):
            yield f"{scope}{one.name}", one
        elif isinstance(one, ast.ClassDef):
            yield from _functions(one, f"{scope}{one.name}::")


class _Strengths(Mapping[str, Strength]):
    def __init__(self, functions: Mapping[str, _Function]) -> None:
        self._functions = functions
        self._known: dict[str, Strength] = {}

    def __getitem__(self, name: str) -> Strength:
        if name not in self._known:
            self._known[name] = _strength(self._functions[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


def _strength(function: _Function) -> Strength:
    nodes = list(ast.walk(function))
    return Strength(
        checks=sum(map(_is_check, nodes)),
        exact=sum(map(_is_exact, nodes)),
        swallowed=sum(map(_swallows, nodes)),
        text=ast.unparse(function),
        line=function.lineno,
    )


def _is_check(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    return isinstance(node, ast.Call) and called(node).lower().startswith(_CHECKS)


def _is_exact(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
        return all(isinstance(one, ast.Eq | ast.Is) for one in node.test.ops)
    if not isinstance(node, ast.Call):
        return False
    name = called(node).lower()
    if name == "raises":
        return any(keyword.arg == "match" for keyword in node.keywords)
    return name in _EXACT_CALLS


def _swallows(node: ast.AST) -> bool:
    """Whether an assertion that fails here is caught."""
    if isinstance(node, ast.ExceptHandler):
        caught = ast.unparse(node.type) if node.type is not None else "BaseException"
        words = caught.strip("()").replace(",", " ").split()
        again = any(isinstance(one, ast.Raise) for one in ast.walk(node))
        return not again and bool({"AssertionError", "Exception", "BaseException"} & set(words))
    if isinstance(node, ast.Call) and called(node).lower() == "suppress":
        said = {ast.unparse(one) for one in node.args}
        return bool({"AssertionError", "Exception", "BaseException"} & said)
    return isinstance(node, ast.Assert) and _always_true(node.test)


def _always_true(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return any(isinstance(one, ast.Constant) and one.value for one in node.values)
    return isinstance(node, ast.Tuple) and bool(node.elts)
