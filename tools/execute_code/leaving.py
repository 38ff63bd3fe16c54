"""Whether Python code that left by `sys.exit` had come to its end."""

import ast
import re
from collections.abc import Iterator

from ...server.sandbox import CodeError

# Of `sys.exit()`, `sys.exit(0)` and `sys.exit(None)`.
_SUCCESS = frozenset({"", "0", "None"})
_EXITS = frozenset({"sys.exit", "exit", "quit", "SystemExit"})


def has_left(error: CodeError) -> bool:
    """Whether the code ended by `sys.exit` with success, wherever that was called."""
    return error.name == "SystemExit" and error.value in _SUCCESS


def is_at_its_end(error: CodeError, code: str) -> bool:
    """Whether that was in the last statement, as in many a script, so that no other was left out.

    In a block nothing may follow in that block either. A function may leave as it may return, from anywhere.
    """
    # As Python or as IPython tells of a frame that is in no function.
    outermost = re.search(r"line (\d+)(?:, in <module>)?$", error.traceback, re.MULTILINE)
    line = int(outermost[1]) if outermost else error.line
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return False
    return line is not None and _is_last(body, line)


def sentence(error: CodeError, *, at_end: bool) -> str:
    """What is to be said of it, whatever the verdict is."""
    where = "" if error.line is None else f" at line {error.line}"
    if at_end:
        after = ", in its last statement or called by it: nothing after that call was run."
    else:
        after = " before its end: what stands after that call was not run."
    return f"The code ended itself by sys.exit({error.value}){where}{after}"


def _is_last(block: list[ast.stmt], line: int) -> bool:
    """Whether a call on that line belongs to the last statement of a block, and to no other that is."""
    if not block or not _spans(block[-1], line):
        return False
    last = block[-1]
    if _is_exit(last):
        return True
    # Only the line is known: `sys.exit(0); assert x` has both.
    if any(_spans(earlier, line) for earlier in block[:-1]):
        return False
    blocks = list(_blocks(last))
    inner = next((each for each in blocks if any(_spans(one, line) for one in each)), None)
    if inner is None:
        return not blocks
    skips_else = inner is getattr(last, "body", None) and not isinstance(last, ast.If)
    if skips_else and getattr(last, "orelse", None):
        return False
    may_be_its_head = any(_spans(each, line) and _calls(each) for each in _head(last))
    return _is_last(inner, line) and (not may_be_its_head or _is_exit(inner[-1]))


def _spans(node: ast.AST, line: int) -> bool:
    start, end = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
    return start is not None and start <= line <= (end or start)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a statement that has some."""
    for name in ("body", "orelse", "finalbody"):
        if block := getattr(statement, name, None):
            yield block
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield part.body


def _head(statement: ast.stmt) -> Iterator[ast.AST]:
    """What a statement evaluates besides its blocks."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield child


def _calls(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call | ast.Await) for each in ast.walk(node))


def _is_exit(statement: ast.stmt) -> bool:
    """Whether to leave is all that it is for."""
    if isinstance(statement, ast.Raise):
        called = statement.exc
    else:
        called = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(called, ast.Call):
        called = called.func
    return called is not None and ast.unparse(called) in _EXITS
