"""The functions of the source under test that are there, and which tests reach them."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType

from .cover import Lines
from .mutants import File
from .swap import Functions, Key, key_of


@dataclass(frozen=True)
class Function:
    """A function under test; `lines` are those that run when it runs."""

    key: Key
    name: str
    lines: frozenset[int]

    @property
    def label(self) -> str:
        """As it is reported: file, line and name."""
        return f"{self.key[0]}:{self.key[1]}:{self.name}"


def functions_of(file: File, there: Functions) -> list[Function]:
    """The functions of a file that exist in this process."""
    with_names = _named(compile(file.text, file.path, "exec", dont_inherit=True), ())
    found: dict[Key, Function] = {}
    for code, names in with_names:
        key = key_of(code)
        if key in there.by_key and key not in found:
            found[key] = Function(key, ".".join(names), _lines(code))
    return list(found.values())


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
