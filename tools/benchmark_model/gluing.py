"""What is put before or around a model's code to make a program of it."""

import ast
import textwrap
from collections.abc import Iterable, Sequence

from .python_code import bound_by, parse, parse_beginning
from .task import Task


def glued(prompt: str, body: str) -> str:
    between = "" if prompt.endswith("\n") or body.startswith("\n") else "\n"
    return f"{prompt}{between}{body}"


def indented(body: str, prompt: str) -> str:
    """The body with the indentation that the prompt's function has."""
    lines = [line for line in prompt.split("\n") if line.strip()]
    last = lines[-1] if lines else ""
    wanted = last[: len(last) - len(last.lstrip(" \t"))] or "    "
    body = body.strip("\n")
    first, _, rest = body.partition("\n")
    # The first line often lost its indentation to a strip() somewhere, the others have theirs.
    others = [line for line in rest.split("\n") if line.strip()]
    if first[:1] not in {" ", "\t"} and others and all(line[:1] in {" ", "\t"} for line in others):
        shifted = f"{wanted}{first.lstrip()}\n{rest}"
        if not first.rstrip().endswith(":") and parse("def f():\n" + shifted):
            return shifted + "\n"
    return textwrap.indent(textwrap.dedent(body), wanted) + "\n"


def with_imports(strict: str, task: Task, *, lenient: bool) -> tuple[str, str]:
    """The program with what it takes for given (usual imports, and what the prompt had before it), and what
    was added, in short. Without `lenient`, only imports of the prompt.
    """
    code = parse(strict)
    if code is None or not code.missing:
        return strict, ""
    missing = set(code.missing)
    added: list[str] = []
    prompt = task.prompt if task.kind == "completion" and task.language == "python" else ""
    for text in (prompt, task.header if lenient else ""):
        source = parse(text) or parse_beginning(text)
        for node in source.tree.body if source else []:
            if not lenient and not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = set(bound_by(node)) - {task.entry_point}
            if names & missing or ("*" in names and missing):
                added.append(ast.unparse(node))
                missing -= names
    if not added:
        return strict, ""
    at = _after_future_imports(code.tree.body)
    lines = strict.split("\n")
    return "\n".join([*lines[:at], *added, *lines[at:]]), _in_short(added)


def _after_future_imports(body: Iterable[ast.stmt]) -> int:
    """How many lines must stay first."""
    return max(
        (
            node.end_lineno or 0
            for node in body
            if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        ),
        default=0,
    )


def _in_short(added: Sequence[str]) -> str:
    return "; ".join(text.split("\n", 1)[0] for text in added)
