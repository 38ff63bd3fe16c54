"""The functions of the source under test that are there, and which tests reach them."""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType

from .cover import Lines
from .mutants import File
from .swap import Functions, Key, key_of


@dataclass(frozen=True)
class Function:
    """A function under test; `lines` are those that run when it runs. `answers` is false where it returns
    nothing whatever happens, so that its `None` says nothing.
    """

    key: Key
    name: str
    lines: frozenset[int]
    answers: bool = True

    @property
    def label(self) -> str:
        """As it is reported: file, line and name."""
        return f"{self.key[0]}:{self.key[1]}:{self.name}"


def functions_of(file: File, there: Functions) -> list[Function]:
    """The functions of a file that exist in this process."""
    with_names = _named(compile(file.text, file.path, "exec", dont_inherit=True), ())
    found: dict[Key, Function] = {}
    answering = _answering(file.tree)
    for code, names in with_names:
        key = key_of(code)
        if key in there.by_key and key not in found:
            answers = (key[1], key[2]) in answering or key[2] == "<lambda>"
            found[key] = Function(key, ".".join(names), _lines(code), answers)
    return list(found.values())


def _answering(tree: ast.Module) -> set[tuple[int, str]]:
    """First line and name of the functions that return something somewhere."""
    return {
        (min([node.lineno, *(one.lineno for one in node.decorator_list)]), node.name)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and any(
            isinstance(one, ast.Return)
            and one.value is not None
            and not (isinstance(one.value, ast.Constant) and one.value.value is None)
            for one in ast.walk(node)
        )
    }


def _named(code: CodeType, names: tuple[str, ...]) -> Iterator[tuple[CodeType, tuple[str, ...]]]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            inner = (*names, one.co_name)
            if one.co_flags & 0x2:  # classes and modules have no local variables of the fast kind
                yield one, inner
            yield from _named(one, inner)


def _lines(code: CodeType) -> frozenset[int]:
    """Lines of the function's own body. Its first line counts only if there is no other: to define is not to run."""
    lines = {line for _, line in dis.findlinestarts(code) if line}
    later = {line for line in lines if line != code.co_firstlineno}
    return frozenset(later or lines)


def reached_by(
    functions: Iterable[Function], lines: Lines, tests: Sequence[str]
) -> Mapping[Function, list[str]]:
    """For each function the tests that ran a line of it, in their order."""
    by_test = {
        test: {path: frozenset(numbers) for path, numbers in lines.get(test, {}).items()}
        for test in tests
    }
    nothing: frozenset[int] = frozenset()
    return {
        function: [t for t in tests if by_test[t].get(function.key[0], nothing) & function.lines]
        for function in functions
    }
