"""What went wrong beside the code: in a thread, a task or a process of it, or because nobody awaited it.

Python says so on standard error alone, and the code comes to its end all the same.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...server.sandbox import Captured, Cell, CellResult, Program, ProgramResult
from .. import _beside
from . import build, causes
from .build import Built
from .hints import hints
from .judged import Judged
from .plan import Failure
from .snippet import Snippet

_WHO = {
    "thread": "A thread of it raises.",
    "task": "A task of it raises, and nobody awaits it.",
    "process": "A process of it raises.",
}
_THREADS = re.compile(r"\b(?:Thread|Timer|start_new_thread)\b")
_STARTS = re.compile(r"\b(?:Thread|Timer|start|Process|submit|create_task|ensure_future)\b")
# As an interpreter does before it ends, though not for ever: examples start servers in threads.
_WAIT = """
def _wait():
    import threading, time
    until = time.monotonic() + 2
    for each in threading.enumerate():
        if each is not threading.current_thread() and not each.daemon:
            each.join(max(0.0, until - time.monotonic()))
_wait()
"""
_SHOWN_FAILED = ("Exception in thread", "Task exception was never retrieved")
_SHOWN_FORGOTTEN = ("never awaited", "<coroutine object")


def waited_for(snippet: Snippet, program: Program) -> Program:
    """Return the program with one cell more if it starts threads: what they do after the last line belongs to it."""
    if not _THREADS.search(snippet.source):
        return program
    return replace(program, cells=(*program.cells, Cell(_WAIT, "<threads>")))


def folded(built: Built, result: ProgramResult) -> ProgramResult:
    """Return the result without that cell, of which the output is the last one's."""
    count = len(built.program.cells)
    if not count or len(result.cells) <= count:
        return result
    *cells, last, end = result.cells
    ended = end.outcome not in {"completed", "timed_out"}
    last = replace(
        end if ended else last,
        stdout=_both(last.stdout, end.stdout),
        stderr=_both(last.stderr, end.stderr),
        value=last.value,
    )
    outcome = end.outcome if ended else "completed"
    return replace(
        result, cells=(*cells, last), outcome=outcome, reason=end.reason if ended else ""
    )


def _both(first: Captured, second: Captured) -> Captured:
    return first if first.omitted or second.omitted else Captured(first.text + second.text)


def failure(snippet: Snippet, own: Sequence[CellResult]) -> Judged | None:
    """Return what failed in code that came to its end, None where nothing did or it is what the page shows."""
    said = "".join(cell.stderr.text for cell in own)
    if not said:
        return None
    shown = "".join(expected.text for expected in snippet.expected)
    shown += "".join(example.want.text for example in snippet.examples if example.want)
    found: Judged | None = None
    if not any(phrase in shown for phrase in _SHOWN_FAILED):
        found = next(_failed(snippet, said), None)
    if found is None and not any(phrase in shown for phrase in _SHOWN_FORGOTTEN):
        found = next(_forgotten(snippet, said, own[-1].value or ""), None)
    return found


def _failed(snippet: Snippet, said: str) -> Iterator[Judged]:
    file, _ = build.place(snippet)
    for one in _beside.raised(said):
        numbers = [line for name, line in one.frames if name == file]
        own = [number for number in numbers if _is_its(snippet, number)]
        # What runs there may be defined further up.
        lines = [build.document_line(snippet, n) for n in own] or _lines_with(snippet, _STARTS)
        if not numbers or not lines:
            continue  # what a library or another example does behind its back is not this one's
        name, _, value = one.error.partition(": ")
        cause = causes.of_exception(name, value, one.traceback, hints(snippet.source))
        kind, reason = cause or ("raises", _WHO[one.who])
        yield Judged(kind, reason, one.error, lines[-1], failure=Failure(name, value))


def _forgotten(snippet: Snippet, said: str, value: str) -> Iterator[Judged]:
    file, _ = build.place(snippet)
    for one in _beside.forgotten(said):
        name = one.name.rpartition(".")[2]
        calls = _lines_with(snippet, re.compile(rf"(?<!def )\b{re.escape(name)}\("))
        is_own = re.search(rf"\basync def {name}\b", snippet.source) or "<coroutine" in value
        if one.file == file and _is_its(snippet, one.line):
            line = build.document_line(snippet, one.line)
        elif is_own and calls:
            line = calls[-1]
        else:
            continue  # a library's
        reason = f"It calls {name}() and awaits it nowhere, so that did not run."
        error = f"RuntimeWarning: coroutine '{one.name}' was never awaited"
        yield Judged("raises", reason, error, line, failure=Failure("RuntimeWarning"))


def _is_its(snippet: Snippet, line: int) -> bool:
    return 1 <= build.snippet_line(snippet, line) <= len(snippet.map)


def _lines_with(snippet: Snippet, pattern: re.Pattern[str]) -> list[int]:
    """The document's lines in which this is found."""
    rows = enumerate(snippet.code.split("\n"), 1)
    return [snippet.position(number).line for number, row in rows if pattern.search(row)]
