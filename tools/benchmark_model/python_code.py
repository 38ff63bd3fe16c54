"""What a piece of Python defines and needs, without running it."""

import ast
import builtins
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

# What is longer is judged as it is. No answer to a task has so much.
_MOST_CHARACTERS = 200_000
_MOST_CUTS = 12

_KNOWN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__builtins__"}
_Scope = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Code:
    """Code that parses."""

    text: str
    tree: ast.Module = field(repr=False, compare=False)

    @cached_property
    def defined(self) -> frozenset[str]:
        """What its top level binds."""
        return frozenset(name for node in self.tree.body for name in bound_by(node))

    @cached_property
    def functions(self) -> tuple[str, ...]:
        """The functions and classes of its top level, without those that have no body yet."""
        return tuple(
            node.name
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not _is_stub(node)
        )

    @cached_property
    def missing(self) -> frozenset[str]:
        """Names that it uses and binds nowhere."""
        used: set[str] = set()
        bound: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
                bound.update(bound_by(node))
        return frozenset(used - bound - _KNOWN)

    @cached_property
    def is_body(self) -> bool:
        """Whether it returns or yields outside of a function, as only a function's body can."""
        waiting: list[ast.AST] = list(self.tree.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
                return True
            if not isinstance(node, (*_Scope, ast.ClassDef)):
                waiting.extend(ast.iter_child_nodes(node))
        return False

    @cached_property
    def says_something(self) -> bool:
        """Whether it is more than words that happen to parse."""
        return self.is_body or not all(isinstance(node, ast.Expr) for node in self.tree.body)


def parse(text: str) -> Code | None:
    """The code, None where it does not parse (or is too much to try)."""
    tree = _tree(text)
    return Code(text, tree) if isinstance(tree, ast.Module) else None


def parse_dedented(text: str) -> Code | None:
    """The same, taking away indentation that all of it has."""
    return parse(text) or parse(textwrap.dedent(text))


def parse_beginning(text: str) -> Code | None:
    """The longest beginning that parses, found by cutting before the line that does not; None if none does."""
    for _ in range(_MOST_CUTS):
        tree = _tree(text)
        if isinstance(tree, ast.Module):
            return Code(text, tree) if tree.body else None
        if not tree or tree <= 1:
            return None
        lines = text.split("\n")
        text = "\n".join(lines[: min(tree, len(lines)) - 1])
    return None


def bound_by(node: ast.AST) -> Iterator[str]:
    """The names that a statement (or handler or pattern) binds itself."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for item in node.names:
            yield item.asname or item.name.partition(".")[0]
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        if node.name:
            yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _tree(text: str) -> ast.Module | int:
    """The tree, or the line that has the error; 0 where that is not known."""
    if len(text) > _MOST_CHARACTERS:
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a function only says what it should do."""
    if isinstance(node, ast.ClassDef):
        return False
    return all(
        isinstance(step, ast.Pass)
        or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
        or (isinstance(step, ast.Raise) and "NotImplemented" in ast.dump(step))
        for step in node.body
    )
