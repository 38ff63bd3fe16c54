"""How code stands by itself: as one module, as examples with their output, and the command that runs it."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from ...server.sandbox import CellResult, ProgramResult
from .. import _text
from . import javascript, shell
from .snippet import Example, Snippet

RUNNABLE = frozenset({"python", "pycon", "bash", "javascript"})
FILE = "snippet"
LONGEST_OUTPUT = 20_000
_AWAITING = """
import ast, asyncio, inspect, sys, types
text = open(sys.argv[1], encoding="utf-8").read()
code = compile(text, sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
made = types.FunctionType(code, globals())()
if inspect.iscoroutine(made):
    asyncio.run(made)
"""
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class Said:
    """What a run printed, and the last line of what it raised; `trouble` is why it does not count."""

    output: str = ""
    error: str = ""
    trouble: str = ""


def said(result: ProgramResult) -> Said:
    """Return what became of a program that runs a form."""
    cell = result.cells[-1] if result.cells else None
    if cell is None or is_cut([cell]):
        return Said(trouble="It prints more than an example shows.")
    if _text.clean(cell.stdout.text) != cell.stdout.text:
        return Said(trouble="It prints control characters.")
    if result.outcome == "completed" or result.exit_code == 0:
        return Said(cell.stdout.text)
    if cell.outcome == "raised" and cell.error is not None:
        error = cell.error
        return Said(cell.stdout.text, f"{error.name}: {error.value}" if error.value else error.name)
    if result.exit_code is not None:
        lines = [x for x in cell.stderr.text.splitlines() if x.strip() and x[:9] != "Node.js v"]
        return Said(cell.stdout.text, lines[-1] if lines else f"exit code {result.exit_code}")
    return Said(trouble=cell.reason or result.reason)


def is_cut(cells: Sequence[CellResult]) -> bool:
    """Whether not all that they printed is there, or it is too much to show."""
    return any(cell.stdout.omitted for cell in cells) or (
        sum(len(cell.stdout.text) for cell in cells) > LONGEST_OUTPUT
    )


def script(snippet: Snippet) -> str:
    """Return the commands of a shell snippet, without prompts and outputs."""
    return shell.script(snippet)[0].rstrip("\n") + "\n"


def joined(parts: Sequence[str]) -> str:
    """Return the parts as one module: what they take from the future has to stand at its top."""
    names: list[str] = []
    kept: list[str] = []
    for part in parts:
        found, text = _from_the_future(part)
        names += found
        if text.strip():
            kept.append(text.strip("\n") + "\n")
    first = [f"from __future__ import {', '.join(dict.fromkeys(names))}\n"] if names else []
    return "\n".join([*first, *kept])


def _from_the_future(code: str) -> tuple[list[str], str]:
    if "__future__" not in code:
        return [], code
    try:
        tree = ast.parse(code)
    except _UNPARSABLE:
        return [], code
    lines = code.split("\n")
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            names += [alias.name for alias in node.names]
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return names, "\n".join(lines)


def prompted(source: str) -> str:
    """Return Python as examples that print nothing, one statement each; "" for what is not Python."""
    try:
        tree = ast.parse(source)
    except _UNPARSABLE:
        return ""
    lines = source.split("\n")
    text = ""
    for node in tree.body:
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(one.lineno for one in decorators)])
        text += _prompts("\n".join(lines[first - 1 : node.end_lineno or node.lineno]))
    return text


def shown(examples: Sequence[Example], cells: Sequence[CellResult]) -> str:
    """Return examples with what they printed, or raised."""
    text = ""
    for example, cell in zip(examples, cells, strict=True):
        text += _prompts(example.source)
        output = cell.stdout.text
        rows = output.removesuffix("\n").split("\n") if output else []
        text += "".join(f"{row or '<BLANKLINE>'}\n" for row in rows)
        if cell.error is not None:
            last = f"{cell.error.name}: {cell.error.value}" if cell.error.value else cell.error.name
            text += f"Traceback (most recent call last):\n  ...\n{last}\n"
    return text


def _prompts(source: str) -> str:
    rows = source.rstrip("\n").split("\n")
    text = "".join(f"{'...' if n else '>>>'} {row}".rstrip() + "\n" for n, row in enumerate(rows))
    # A block ends with an empty prompt.
    return text + "...\n" if _is_block(source) else text


def _is_block(source: str) -> bool:
    try:
        return any(hasattr(node, "body") for node in ast.parse(source).body)
    except _UNPARSABLE:
        return False


def files(code: str, language: str) -> dict[str, bytes]:
    """Return the files that the command needs."""
    if language == "javascript":
        return javascript.plain(code)[1]
    return {} if language == "bash" else {FILE: code.encode("utf-8", "replace")}


def command(code: str, language: str) -> tuple[str, ...]:
    """Return the command that runs code in an interpreter of its own, beside its `files`."""
    if language == "bash":
        return ("bash", "-c", code)
    if language == "javascript":
        return javascript.plain(code)[0]
    if language == "pycon":
        return ("python", "-m", "doctest", FILE)
    try:
        compile(code, FILE, "exec", dont_inherit=True)
    except _UNPARSABLE:
        return ("python", "-c", _AWAITING, FILE)
    return ("python", FILE)
