"""What a test file says of itself, read without running it."""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, lru_cache

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_ASSERTING = ("assert", "raises", "warns", "fail", "deprecated_call", "check", "expect", "verify")


@dataclass(frozen=True, slots=True)
class Written:
    """A test as it stands in the file. `name` is `Class::function` or `function`; `asserts` whether
    something in it looks like a check.
    """

    name: str
    line: int
    end_line: int
    asserts: bool
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class Uncollected:
    """Something that was meant as a test and is none; `why` in one sentence."""

    name: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A test file. `error` says why it is no Python; `examples` whether its docstrings hold any; `conditional`
    are tests that are only there where an `if` or a `try` lets them be.
    """

    path: str
    tests: tuple[Written, ...] = ()
    uncollected: tuple[Uncollected, ...] = ()
    conditional: tuple[Uncollected, ...] = ()
    error: str = ""
    error_line: int = 0
    examples: bool = False


def is_test_file(path: str, patterns: Iterable[str] = ("test_*.py", "*_test.py")) -> bool:
    """Whether pytest would look for tests in it."""
    name = path.rpartition("/")[2]
    return any(fnmatch(name, pattern) for pattern in patterns)


_KEPT = 32


@lru_cache(maxsize=_KEPT)
def parsed(text: str) -> ast.Module | None:
    """The tree of a module, for all who only read it; None of what is no Python. The last few are kept, since
    large files are asked for again and again.
    """
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parse_ahead(contents: Iterable[bytes]) -> None:
    """Have the trees of these files kept, where that is no more than are kept at one time."""
    texts = {content.decode("utf-8", "replace") for content in contents}
    for text in texts if len(texts) <= _KEPT else ():
        parsed(text)


def read_sheet(path: str, text: str) -> Sheet:
    """What a test file says of itself."""
    if not path.endswith(".py"):
        return Sheet(path, examples=">>>" in text)
    tree = parsed(text)
    if tree is None:
        return _unreadable(path, text)
    nodes: list[ast.AST] = [tree, *every_statement(tree)]
    docs = (ast.get_docstring(node) or "" for node in nodes if isinstance(node, _DOCUMENTED))
    return Sheet(
        path,
        tuple(_written(name, node) for name, node in written_tests(tree).items()),
        tuple(uncollected(tree)),
        tuple(_conditional(tree)),
        examples=any(">>> " in text for text in docs),
    )


def _unreadable(path: str, text: str) -> Sheet:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return Sheet(path, error=f"{error.msg}", error_line=error.lineno or 0)
    except (ValueError, RecursionError, MemoryError) as error:
        return Sheet(path, error=f"it cannot be parsed ({error})")
    raise AssertionError(path)


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def written_tests(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests that pytest should find, the last of each name."""
    return {
        f"{scope}::{function.name}" if scope else function.name: function
        for scope, function in _functions(tree.body)
        if function.name.startswith("test") and not _is_fixture(function)
    }


def _written(name: str, function: _Function) -> Written:
    return Written(
        name,
        function.lineno,
        function.end_lineno or function.lineno,
        asserts(function),
        isinstance(function, ast.AsyncFunctionDef),
    )


def _functions(body: list[ast.stmt], scope: str = "") -> Iterator[tuple[str, _Function]]:
    for node in body:
        if isinstance(node, _Function):
            yield scope, node
        elif isinstance(node, ast.ClassDef) and _is_collected(node):
            yield from _functions(node.body, f"{scope}::{node.name}" if scope else node.name)


def _is_collected(node: ast.ClassDef) -> bool:
    if _is_unittest(node):
        return True
    return node.name.startswith("Test") and not _defines(node, "__init__")


def _is_unittest(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2].endswith("TestCase") for base in node.bases)


def _defines(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(item, _Function) and item.name == name for item in node.body)


def _is_fixture(function: _Function) -> bool:
    return any("fixture" in ast.unparse(each) for each in function.decorator_list)


def asserts(function: _Function) -> bool:
    """Whether something in it looks like a check."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = called(node).lower()
            if name.startswith(_ASSERTING):
                return True
    return False


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    if isinstance(node.func, ast.Name | ast.Attribute):
        return node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    return ast.unparse(node.func).rpartition(".")[2]


def every_statement(tree: ast.Module | _Function) -> Iterator[ast.stmt]:
    """All statements in it, however deep, without a look at what is in them: that is ten times as quick as `ast.walk`."""
    left = list(reversed(tree.body))
    while left:
        node = left.pop()
        yield node
        inside: list[ast.stmt] = []
        for name in ("body", "orelse", "finalbody"):
            inside += getattr(node, name, ())
        for name in ("handlers", "cases"):
            inside += [one for part in getattr(node, name, ()) for one in part.body]
        left += reversed(inside)


def uncollected(tree: ast.Module) -> Iterator[Uncollected]:
    """What was meant as a test in a file and is none."""
    yield from _shadowed(tree.body)
    used = cache(lambda: {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _in_class(node, used)
        elif isinstance(node, ast.If):
            yield from _guarded(node)
        elif isinstance(node, _Function):
            yield from _misnamed(node, used)
            yield from _nested(node)


def _shadowed(body: list[ast.stmt], scope: str = "") -> Iterator[Uncollected]:
    """Definitions that a later one of the same name replaces."""
    last: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, _Function) and any(
            "overload" in ast.unparse(d) for d in node.decorator_list
        ):
            continue
        if isinstance(node, _Function | ast.ClassDef) and node.name.startswith(("test", "Test")):
            if (earlier := last.get(node.name)) is not None:
                why = (
                    f"Another {node.name} in line {node.lineno} takes its place, so it never runs."
                )
                yield Uncollected(_dotted(scope, node.name), earlier.lineno, why)
            last[node.name] = node
        if isinstance(node, ast.ClassDef):
            yield from _shadowed(node.body, node.name)


def _in_class(node: ast.ClassDef, used: Callable[[], set[str]]) -> Iterator[Uncollected]:
    methods = [m for m in node.body if isinstance(m, _Function) and m.name.startswith("test")]
    if not methods or _is_unittest(node):
        return
    if node.name.startswith("Test") and _defines(node, "__init__"):
        why = "Its class has an __init__, so pytest does not collect it; use a fixture or setup_method."
    elif not node.name.startswith("Test") and not node.bases and node.name not in used():
        why = (
            f"Its class is called {node.name}; pytest collects classes whose names begin with Test."
        )
    else:
        return
    for method in methods:
        yield Uncollected(f"{node.name}::{method.name}", method.lineno, why)


def _guarded(node: ast.If | ast.Try) -> Iterator[Uncollected]:
    if not isinstance(node, ast.If):
        return
    test = ast.unparse(node.test)
    if test in {"False", "0"} or "__main__" in test:
        for item in ast.walk(node):
            if isinstance(item, _Function) and item.name.startswith("test"):
                why = f"It is defined only if {test}, which never holds when tests are collected."
                yield Uncollected(item.name, item.lineno, why)


def _conditional(tree: ast.Module) -> Iterator[Uncollected]:
    for node in tree.body:
        if not isinstance(node, ast.If | ast.Try) or any(_guarded(node)):
            continue
        blocks = [node.body, node.orelse]
        if isinstance(node, ast.Try):
            blocks += [node.finalbody, *(handler.body for handler in node.handlers)]
        why = f"Line {node.lineno} decides whether there is such a test, and here there was none"
        for block in blocks:
            for scope, function in _functions(block):
                if function.name.startswith("test") and not _is_fixture(function):
                    yield Uncollected(_dotted(scope, function.name), function.lineno, why)


def _misnamed(node: _Function, used: Callable[[], set[str]]) -> Iterator[Uncollected]:
    """A function that nobody calls, checks something and has `test` in the wrong place of its name."""
    name = node.name.lower()
    if node.name.startswith(("test", "pytest_")) or node.decorator_list:
        return
    if "test" not in name and not name.startswith(("should_", "it_", "tes_", "tets_")):
        return
    if node.name not in used() and asserts(node):
        why = "Its name does not begin with test_, so pytest does not collect it."
        yield Uncollected(node.name, node.lineno, why)


def _nested(node: _Function) -> Iterator[Uncollected]:
    inner = [one for one in every_statement(node) if isinstance(one, _Function)]
    tests = [one for one in inner if one.name.startswith("test_")]
    called = {
        one.func.id
        for one in (ast.walk(node) if tests else ())
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
    }
    for test in tests:
        if test.name not in called:
            why = f"It is defined inside {node.name} and never called."
            yield Uncollected(test.name, test.lineno, why)


def _dotted(scope: str, name: str) -> str:
    return f"{scope}::{name}" if scope else name
