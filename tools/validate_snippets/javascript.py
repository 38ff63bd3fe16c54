"""JavaScript blocks: run by Node where the sandbox has it, each by itself."""

import re

from ...server.sandbox import Program, ProgramResult
from .. import _text
from . import oracles
from .build import Built, Surroundings
from .judge import Judged
from .oracles import Rules
from .report import Kind
from .snippet import Snippet

_MODULE = re.compile(r"^\s*(?:import\b(?!\s*\()|export\b)|^\s*(?:const .*= )?await\b", re.MULTILINE)
_NAME = "snippet"
_LINE = re.compile(rf"{_NAME}\.[cm]js:(\d+)")
_ERROR = re.compile(r"^(?:Uncaught )?((?:\w+\.)*\w*Error\b[^\n]*)", re.MULTILINE)
_CAUSES: tuple[tuple[Kind, re.Pattern[str], str], ...] = (
    (
        "needs_dependency",
        re.compile(r"Cannot find (?:package|module) '(?![./])(?P<name>[^']+)'"),
        "It needs the package {name}, which is not installed.",
    ),
    ("needs_file", re.compile(r"Cannot find module '(?P<name>[^']+)'"), "It wants {name}."),
    ("needs_file", re.compile(r"ENOENT[^\n]*'(?P<name>[^']+)'"), "It wants {name}."),
    (
        "needs_network",
        re.compile(r"(?P<name>fetch failed|ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED)"),
        "It wants the network, which sandboxes do not have.",
    ),
    (
        "needs_dependency",
        re.compile(
            r"ReferenceError: (?P<name>window|document|navigator|localStorage) is not defined"
        ),
        "It needs a browser, which is not here: {name} is not defined.",
    ),
)


def program(snippet: Snippet, around: Surroundings, name: str) -> Built:
    """Return the program for a JavaScript snippet: an ECMAScript module if it is written as one."""
    file = f"{_NAME}.{'mjs' if _MODULE.search(snippet.code) else 'cjs'}"
    return Built(
        Program(
            name,
            command=("node", file),
            files={file: snippet.code.encode()},
            env={"NO_COLOR": "1", **around.env, **snippet.marks.env},
            timeout=snippet.marks.timeout or around.timeout,
        ),
        0,
    )


def judge(snippet: Snippet, result: ProgramResult, rules: Rules) -> Judged:
    """Judge what became of it."""
    said = result.cells[-1].stderr.text if result.cells else ""
    if result.outcome == "timed_out":
        return Judged("timeout", result.reason)
    if result.exit_code is None or result.outcome in {"killed", "out_of_memory", "output_limit"}:
        return Judged("unsafe", result.reason)
    if result.exit_code == 0 and snippet.marks.raises:
        return Judged("output_mismatch", "It does not raise what its author says.", oracle=True)
    if result.exit_code == 0:
        return _of_output(snippet, result, rules)
    error = match[1] if (match := _ERROR.search(said)) else _text.last_line(said)
    found = _LINE.search(said)
    line = snippet.position(int(found[1])).line if found else None
    if match and snippet.marks.raises.partition(":")[0] in {"*", error.partition(":")[0]}:
        return Judged("expected_error", "It raises what its author says.", error, oracle=True)
    if error.startswith("SyntaxError"):
        return Judged("syntax", "It is not valid JavaScript.", error, line)
    for kind, pattern, reason in _CAUSES:
        if cause := pattern.search(said):
            return Judged(kind, reason.format(name=cause["name"]), error, line)
    return Judged("raises", "It raises.", error, line)


def _of_output(snippet: Snippet, result: ProgramResult, rules: Rules) -> Judged:
    got = result.cells[-1].stdout.text if result.cells else ""
    shown = [expected for expected in snippet.expected if expected.after_line == 0]
    if not shown or snippet.marks.output == "ignore":
        return Judged("works")
    unordered = snippet.marks.output == "unordered"
    found = oracles.compare(shown[0], got, rules, unordered=unordered)
    if found.matches:
        return Judged("works", oracle=found.checked)
    reason = "What it prints is not what is shown."
    return Judged("output_mismatch", reason, line=shown[0].line, diff=found.diff, oracle=True)
