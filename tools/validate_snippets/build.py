"""Make a program of a snippet and what an attempt runs before it."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...server.sandbox import Cell, Program
from . import recorder, shell
from .magics import without_magics
from .plan import Attempt
from .snippet import IN_CODE, Example, Home, Snippet


@dataclass(frozen=True, slots=True)
class Built:
    """A program, and how many of its cells come before the snippet's own."""

    program: Program
    before: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run gives to all its programs. `token` must not be guessable from a snippet."""

    token: str
    env: Mapping[str, str]
    setup: str
    timeout: float


def python(
    page: Sequence[Snippet],
    index: int,
    attempt: Attempt,
    around: Surroundings,
    name: str,
    home: Home | None = None,
) -> Built:
    """Return the program for a Python snippet; `home` is the module whose docstrings the page is."""
    snippet = page[index]
    cells: list[Cell] = []
    if around.setup:
        cells.append(Cell(around.setup, "<setup>"))
    if attempt.given:
        cells.append(Cell(attempt.given, "conf.py"))
    if attempt.imports:
        cells.append(Cell("\n".join(attempt.imports), "<imports>"))
    for earlier in attempt.before:
        cells += _setup_cells(page[earlier])
    if records(snippet):
        cells.append(Cell(recorder.source(around.token), "<recorder>"))
    own = tuple(own_cells(snippet))
    env = {**around.env, **snippet.marks.env}
    timeout = snippet.marks.timeout or around.timeout
    files = home.files(attempt.imports) if home else dict[str, bytes]()
    program = Program(name, (*cells, *own), files=files, env=env, timeout=timeout)
    return Built(program, len(cells))


def bash(snippet: Snippet, around: Surroundings, name: str) -> Built:
    """Return the program for a shell snippet."""
    text, _ = shell.script(snippet)
    env = {"PIP_RETRIES": "0", **around.env, **snippet.marks.env}
    timeout = snippet.marks.timeout or around.timeout
    return Built(
        Program(name, command=shell.command(text, around.token), env=env, timeout=timeout), 0
    )


def yaml(snippet: Snippet, around: Surroundings, name: str) -> Built:
    """Return the program that parses a YAML document."""
    code = f"import yaml\nfor _ in yaml.parse({snippet.code!r}, yaml.SafeLoader): pass"
    return Built(Program(name, (Cell(code, "<parse>"),), timeout=around.timeout), 0)


def records(snippet: Snippet) -> bool:
    """Whether output is shown inside the code."""
    return any(shown.source in IN_CODE for shown in snippet.expected)


def examples(snippet: Snippet) -> tuple[Example, ...]:
    """Return the examples of a doctest that are to be run."""
    return tuple(example for example in snippet.examples if not example.flags.get("SKIP"))


def own_cells(snippet: Snippet) -> Iterator[Cell]:
    """Yield the cells of a snippet itself."""
    if snippet.kind == "doctest":
        for example in examples(snippet):
            yield _example_cell(snippet, example, "single")
    else:
        name, first = place(snippet)
        yield Cell(runnable(snippet.code), name, first)


@lru_cache(maxsize=4096)  # the same code is set-up for each that follows it
def runnable(code: str) -> str:
    """Return the code as plain Python: IPython's magics are blanked out where it is none without."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return without_magics(code)
    return code


def _setup_cells(snippet: Snippet) -> Iterator[Cell]:
    if snippet.examples:
        for example in examples(snippet):
            yield _example_cell(snippet, example, "exec")
    else:
        yield from own_cells(snippet)


def _example_cell(snippet: Snippet, example: Example, mode: str) -> Cell:
    name, first = place(snippet)
    return Cell(
        example.source,
        name,
        first + example.line - 1,
        mode="single" if mode == "single" else "exec",
        may_raise=example.want is not None and example.want.exception is not None,
    )


def place(snippet: Snippet) -> tuple[str, int]:
    """Return the file name and first line that tracebacks shall show.

    Code from several places keeps its own lines, from 1, since no one file has them all.
    """
    if contiguous(snippet):
        return snippet.file, snippet.position(1).line
    return f"{snippet.file}#{snippet.index + 1}", 1


def contiguous(snippet: Snippet) -> bool:
    """Whether all lines of the code follow one another in the document itself."""
    spans = snippet.map.spans
    if len(spans) != 1 or spans[0].file != snippet.file or not len(spans[0].numbers):
        return False
    numbers = spans[0].numbers
    return numbers[-1] - numbers[0] == len(numbers) - 1 and snippet.position(1).line >= 1


def document_line(snippet: Snippet, line: int) -> int:
    """Return the document's line for one that a traceback names."""
    return line if contiguous(snippet) else snippet.position(line).line


def snippet_line(snippet: Snippet, line: int) -> int:
    """Return the snippet's line, from 1, for one that a traceback names."""
    return line - snippet.position(1).line + 1 if contiguous(snippet) else line
