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

# Says on stderr where the top level of a snippet did not come to its end, which Node would call a success.
_GUARD_FILE = "proofbox.cjs"
_GUARD = """\
let isFinished = false, place = ''
Object.defineProperty(globalThis, '{token}', {{ value: () => {{ isFinished = true }} }})
const exit = process.exit
process.exit = (code) => {{
  place = new Error().stack
  return exit.call(process, code)
}}
process.on('exit', (code) => {{
  if (!isFinished && !code) require('fs').writeSync(2, '{token} ' + place)
}})
"""
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
    code = f"{snippet.code}\n;globalThis['{around.token}']()"
    guard = _GUARD.format(token=around.token)
    return Built(
        Program(
            name,
            command=("node", "--require", f"./{_GUARD_FILE}", file),
            files={file: code.encode(), _GUARD_FILE: guard.encode()},
            env={"NO_COLOR": "1", **around.env, **snippet.marks.env},
            timeout=snippet.marks.timeout or around.timeout,
        ),
        0,
    )


def judge(snippet: Snippet, result: ProgramResult, rules: Rules, token: str) -> Judged:
    """Judge what became of it; `token` as for `program`."""
    said = result.cells[-1].stderr.text if result.cells else ""
    if result.outcome == "timed_out":
        return Judged("timeout", result.reason)
    if result.exit_code is None or result.outcome in {"killed", "out_of_memory", "output_limit"}:
        return Judged("unsafe", result.reason)
    said, _, left = said.partition(token)
    found = _LINE.search(said)
    line = snippet.position(int(found[1])).line if found else None
    if left and (cut := _cut(snippet, [int(each) for each in _LINE.findall(left)])):
        reason = "It ends itself before its end: what follows was not run."
        return Judged("raises", reason, line=snippet.position(cut).line)
    if result.exit_code == 0 and snippet.marks.raises:
        return Judged("output_mismatch", "It does not raise what its author says.", oracle=True)
    if result.exit_code == 0:
        return _of_output(snippet, result, rules)
    error = match[1] if (match := _ERROR.search(said)) else _text.last_line(said)
    if match and snippet.marks.raises.partition(":")[0] in {"*", error.partition(":")[0]}:
        return Judged("expected_error", "It raises what its author says.", error, oracle=True)
    if error.startswith("SyntaxError"):
        return Judged("syntax", "It is not valid JavaScript.", error, line)
    for kind, pattern, reason in _CAUSES:
        if cause := pattern.search(said):
            return Judged(kind, reason.format(name=cause["name"]), error, line)
    return Judged("raises", "It raises.", error, line)


def _cut(snippet: Snippet, frames: list[int]) -> int | None:
    """The line at which it ended itself, if anything follows; `frames` are the lines of the calls, the outermost last.

    Without any it was `return` at its top level.
    """
    lines = snippet.code.split("\n")
    if not frames:
        returns = [n for n, line in enumerate(lines, 1) if _RETURN.match(line)]
        last = returns[-1] if returns else 1
        return None if _CLOSED.fullmatch("\n".join(lines[last:])) else last
    line = frames[-1]
    _, exits, after = lines[line - 1].partition("process.exit(")
    behind = after.partition(")")[2] if exits else ""
    # A function that ends the process does it for the statement that called it, of which the line has no other.
    is_last = exits or ";" not in lines[line - 1].rstrip().rstrip(";")
    rest = "\n".join([behind, *lines[line:]])
    return None if is_last and _CLOSED.fullmatch(rest) else line


_RETURN = re.compile(r"\s*return\b")
_CLOSED = re.compile(r"(?:[\s;})]|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*")


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
