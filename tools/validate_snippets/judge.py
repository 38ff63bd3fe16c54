"""The verdict on one run of a Python snippet: how it ended, then whether it printed what is shown."""

import ast
import re
from collections.abc import Sequence
from dataclasses import replace

from ...server.sandbox import CellResult, ProgramResult
from . import build, causes, oracles
from .build import Built
from .hints import hints
from .judge_shown import of_examples, of_output, raised_in, said_by
from .judged import Judged, Wrong
from .names import parse
from .oracles import Rules
from .plan import Failure
from .snippet import Snippet


def judge(
    snippet: Snippet, built: Built, result: ProgramResult, rules: Rules, token: str
) -> Judged:
    """Judge what became of a Python snippet's program."""
    judged = _judge(snippet, built, result, rules, token)
    own = result.cells[built.before :]
    error = own[-1].error if own else None
    if judged.line is None or error is None or error.line is None or build.contiguous(snippet):
        return judged
    at = snippet.position(error.line)
    return judged if at.file == snippet.file else replace(judged, line=snippet.line, included=at)


def _judge(
    snippet: Snippet, built: Built, result: ProgramResult, rules: Rules, token: str
) -> Judged:
    wanted = len(built.program.cells)
    own = result.cells[built.before :]
    if not own:
        return _of_setup(snippet, built, result)
    if snippet.marks.flags:
        rules = replace(rules, flags={**(rules.flags or {}), **snippet.marks.flags})
    if snippet.marks.raises or snippet.marks.exit_code:
        raised = [cell for cell in own if cell.outcome == "raised"]
        judged = _of_mark(snippet, (raised or own)[-1])
        wrong = _of_shown_before(snippet, own, rules, token) if judged.passed else None
        return wrong or judged
    if _left_at_its_end(snippet, own[-1]) and len(result.cells) == wanted:
        judged = of_output(snippet, own[0], rules, token)
        return replace(judged, reason=judged.reason or "It leaves with exit code 0, at its end.")
    if result.outcome != "completed" or len(result.cells) != wanted:
        shown = _shown_exception(snippet, own[-1])
        if shown is not None and snippet.kind != "doctest":
            return (shown.passed and _of_shown_before(snippet, own, rules, token)) or shown
        return _of_end(snippet, own[-1])
    if snippet.kind == "doctest":
        return of_examples(snippet, own, rules)
    return of_output(snippet, own[0], rules, token)


def _of_setup(snippet: Snippet, built: Built, result: ProgramResult) -> Judged:
    if not result.cells:
        return Judged("infra", "The program ended before anything of it ran.", reached=False)
    failed = result.cells[-1]
    cell = built.program.cells[len(result.cells) - 1]
    error = failed.error
    if cell.name == "<setup>":
        reason = "The setup code that was given failed, so the snippet did not run."
        return Judged("infra", reason, said_by(failed), reached=False)
    if error is not None and (cause := causes.of_exception(
        error.name, error.value, error.traceback, hints(cell.code)
    )):  # fmt: skip
        reason = f"What it needs before it could not run: {cause[1]}"
        return Judged(cause[0], reason, said_by(failed), failure=_failure(failed), reached=False)
    reason = "What it needs before it fails, so it did not run."
    line = error.line if error and cell.name == snippet.file else None
    return Judged("raises", reason, said_by(failed), line, failure=_failure(failed), reached=False)


def _failure(cell: CellResult) -> Failure:
    return Failure(cell.error.name, cell.error.value) if cell.error else Failure(cell.outcome)


def _line(snippet: Snippet, cell: CellResult) -> int | None:
    if cell.error is None or cell.error.line is None:
        return None
    return build.document_line(snippet, cell.error.line)


def _of_mark(snippet: Snippet, cell: CellResult) -> Judged:
    """Judge code of which its author says how it ends."""
    if snippet.marks.raises:
        return _of_raises_mark(snippet, cell)
    wanted = snippet.marks.exit_code
    if cell.outcome == "completed":
        reason = f"It exits with 0, and its author says {wanted}."
        return Judged("output_mismatch", reason, oracle=True)
    if _exit_code(cell) != wanted or _cause(snippet, cell) is not None:
        return _of_end(snippet, cell)
    reason = f"It exits with {wanted}, as its author says."
    return Judged("expected_error", reason, said_by(cell), oracle=True)


def _exit_code(cell: CellResult) -> int | None:
    """What an interpreter would exit with, None where that is not known."""
    error = cell.error
    if cell.outcome not in {"raised", "exited"} or error is None:
        return None
    if error.name != "SystemExit":
        return 1
    if error.value in {"", "None", "False"}:
        return 0
    return int(error.value) if error.value.isdecimal() else 1


def _of_shown_before(
    snippet: Snippet, own: Sequence[CellResult], rules: Rules, token: str
) -> Judged | None:
    """Return what is wrong of the outputs that code shows which ends with an exception, None if nothing is."""
    if snippet.kind == "doctest":
        want = build.examples(snippet)[len(own) - 1].want
        told = own if own[-1].outcome == "completed" or (want and want.exception) else own[:-1]
        judged = of_examples(snippet, told, rules)
        return None if judged.passed else judged
    shown = _shown_exception(snippet, own[-1])
    if shown is not None and not shown.passed:
        return shown
    message = own[-1].error.value.partition("\n")[0] if own[-1].error else ""
    others = [
        one
        for one in snippet.expected
        # What stands behind the code may be the exception itself, in whatever form.
        if one.after_line or not (one.exception or (message and message in one.text))
    ]
    judged = of_output(replace(snippet, expected=tuple(others)), own[-1], rules, token)
    return None if judged.passed else judged


def _of_raises_mark(snippet: Snippet, cell: CellResult) -> Judged:
    # A process that is gone has raised nothing, whatever its author expects.
    left = cell.outcome == "exited" and cell.error is not None
    if cell.outcome not in {"completed", "raised"} and not left:
        return _of_end(snippet, cell)
    raised = raised_in(cell) if cell.outcome != "completed" else None
    if raised is not None and (cause := _cause(snippet, cell)) and snippet.marks.raises == "*":
        # Any exception would do, and this one says nothing about the code.
        return Judged(
            cause[0], cause[1], said_by(cell), _line(snippet, cell), failure=_failure(cell)
        )
    found = oracles.raises_matches(snippet.marks.raises, raised)
    if found.matches:
        return Judged(
            "expected_error", "It raises what its author says.", said_by(cell), oracle=True
        )
    reason = "It does not raise what its author says."
    return Judged(
        "output_mismatch" if raised is None else "raises",
        reason,
        said_by(cell) if raised else "",
        _line(snippet, cell),
        diff=found.diff,
        oracle=True,
        failure=_failure(cell) if raised else Failure(),
    )


def _cause(snippet: Snippet, cell: CellResult) -> causes.Cause | None:
    if cell.error is None:
        return None
    error = cell.error
    return causes.of_exception(error.name, error.value, error.traceback, hints(snippet.source))


def _of_end(snippet: Snippet, cell: CellResult) -> Judged:
    """Judge code that did not come to its end."""
    error, line = said_by(cell), _line(snippet, cell)
    kinds = {hint.kind for hint in hints(snippet.source)}
    if cell.outcome == "timed_out" and _asks_at(snippet, cell):
        return Judged("interactive", "It waits for somebody to answer, and here is nobody.", error)
    if cell.outcome == "timed_out":
        server = " It starts a server or a loop without an end." if "server" in kinds else ""
        return Judged("timeout", f"{cell.reason}{server}", failure=_failure(cell))
    if cell.outcome == "exited":
        reason = "It ended its own interpreter, so it did not run to its end."
        return Judged("raises", reason, error, line, failure=_failure(cell))
    if cell.outcome in {"killed", "out_of_memory", "output_limit"} or cell.error is None:
        return Judged("unsafe", cell.reason, failure=_failure(cell))
    # `return` outside a function parses, and yet nothing of the code has run.
    not_run = "in <module>" not in cell.error.traceback
    if cell.error.name in _SYNTAX and (not_run or parse(snippet.source) is None):
        return Judged("syntax", "It is not valid Python.", error, line, failure=_failure(cell))
    if cause := _cause(snippet, cell):
        return Judged(cause[0], cause[1], error, line, failure=_failure(cell))
    hint = causes.near_miss(cell.error.traceback)
    return Judged("raises", "It raises.", error, line, hint, failure=_failure(cell))


def _left_at_its_end(snippet: Snippet, cell: CellResult) -> bool:
    """Whether code ended as a script may: with exit code 0, in the last line below `if __name__ == "__main__":`."""
    error = cell.error
    if snippet.kind != "code" or cell.outcome != "exited" or error is None:
        return False
    tree = parse(build.runnable(snippet.code))
    last = tree.body[-1] if tree is not None and tree.body else None
    if not isinstance(last, ast.If) or not _MAIN.match(ast.unparse(last.test)):
        return False
    name, _ = build.place(snippet)
    frames = re.findall(r'File "(.+?)", line (\d+), in <module>', error.traceback)
    lines = [build.snippet_line(snippet, int(line)) for file, line in frames if file == name]
    if error.name != "SystemExit" or error.value not in {"", "0", "False", "None"} or not lines:
        return False
    return not last.orelse and lines[0] >= last.body[-1].lineno


_MAIN = re.compile(r"__name__ == '__main__'$")


def _asks_at(snippet: Snippet, cell: CellResult) -> bool:
    """Whether the line at which it was stopped asks somebody for something."""
    match = re.search(r"at line (\d+)\.", cell.reason)
    if match is None:
        return False
    stopped = build.snippet_line(snippet, int(match[1]))
    return any(h.kind == "interactive" and h.line == stopped for h in hints(snippet.source))


_SYNTAX = frozenset({"SyntaxError", "IndentationError", "TabError"})


def _shown_exception(snippet: Snippet, cell: CellResult) -> Judged | None:
    """Judge code whose shown output is a traceback; None where none is shown or nothing was raised."""
    shown = [e for e in snippet.expected if e.after_line == 0 and e.exception]
    raised = raised_in(cell)
    if not shown or raised is None or cell.outcome != "raised":
        return None
    found = oracles.exception_matches(shown[0].exception or "", raised, shown[0].flags)
    if found.matches:
        return Judged("expected_error", "It raises what is shown.", said_by(cell), oracle=True)
    reason = "It raises something else than is shown."
    line = _line(snippet, cell)
    return Judged("raises", reason, said_by(cell), line, diff=found.diff, oracle=True,
                  failure=_failure(cell), wrong=(Wrong(shown[0], raised),))  # fmt: skip
