"""JavaScript blocks: run by Node where the sandbox has it, each by itself."""

import re
from collections.abc import Sequence

from ...server.sandbox import Program, ProgramResult
from .. import _text
from . import oracles
from .build import Built, Surroundings
from .judged import Judged, Wrong
from .oracles import Rules
from .report import Kind
from .snippet import Snippet

# Says on stderr that the top level of a snippet came to its end, or where it was left: Node calls both a success.
_GUARD_FILE = "proofbox.cjs"
_GUARD = """\
const {{ writeSync }} = require('fs')
const say = (place) => writeSync(2, '{token} ' + place + '{token}')
Object.defineProperty(globalThis, '{token}', {{ value: () => say('end') }})
const exit = process.reallyExit
process.reallyExit = (...code) => {{
  say(new Error().stack)
  return exit.apply(process, code)
}}
"""
# Node itself tells a module from a script where the text leaves a doubt, as before a top-level await.
_MAY_BE_MODULE = re.compile(r"\b(?:import|export|await)\b")
_NAME = "snippet"
_CHOOSE = f'f={_NAME}.cjs; node --check $f >/dev/null 2>&1 || f={_NAME}.mjs; exec node "$@" $f'
_LINE = re.compile(rf"{_NAME}\.[cm]js:(\d+)")
_ERROR = re.compile(
    r"^(?:Uncaught )?(?:((?:\w+\.)*\w*Error)\b[^\n]*|([A-Z]\w*)(?: \[\w+\])?(?:: [^\n]*)?(?=\n +at ))",
    re.MULTILINE,
)
_UNSETTLED = 13  # what Node exits with where a top-level await is left waiting
# What Node adds at its end.
_NODE = re.compile(r"^(?:\(Use `node --trace-uncaught[^\n]*|Node\.js v\d[^\n]*)$", re.MULTILINE)
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
    code = f"{snippet.code}\n;globalThis['{around.token}']()"
    guard = _GUARD.format(token=around.token)
    command, files = _started(snippet.code, code.encode(), "--require", f"./{_GUARD_FILE}")
    return Built(
        Program(
            name,
            command=command,
            files={**files, _GUARD_FILE: guard.encode()},
            env={"NO_COLOR": "1", **around.env, **snippet.marks.env},
            timeout=snippet.marks.timeout or around.timeout,
        ),
        0,
    )


def plain(code: str) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """Return the command that runs code as whoever has stored it would, and the files that it needs."""
    return _started(code, code.encode("utf-8", "replace"))


def _started(code: str, content: bytes, *options: str) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """Return the command that runs a file with that content, as Node would read the code, and its files."""
    if not _MAY_BE_MODULE.search(code):
        return ("node", *options, f"{_NAME}.cjs"), {f"{_NAME}.cjs": content}
    files = {f"{_NAME}.{kind}": content for kind in ("cjs", "mjs")}
    return ("sh", "-c", _CHOOSE, "sh", *options), files


def judge(snippet: Snippet, result: ProgramResult, rules: Rules, token: str) -> Judged:
    """Judge what became of it; `token` as for `program`."""
    said = result.cells[-1].stderr.text if result.cells else ""
    if result.outcome == "timed_out":
        return Judged("timeout", result.reason)
    if result.exit_code is None or result.outcome in {"killed", "out_of_memory", "output_limit"}:
        return Judged("unsafe", result.reason)
    ends = re.findall(rf"{token} (.*?){token}", said, re.DOTALL)
    said = re.sub(rf"{token} .*?{token}", "", said, flags=re.DOTALL)
    if result.exit_code == 0:
        return _of_success(snippet, result, rules, ends)
    found = _LINE.search(said)
    line = snippet.position(int(found[1])).line if found else None
    if result.exit_code == snippet.marks.exit_code:
        reason = f"It exits with {result.exit_code}, as its author says."
        return Judged("expected_error", reason, oracle=True)
    if result.exit_code == _UNSETTLED and not ends and not said.strip():
        row = next((n for n, row in enumerate(snippet.code.split("\n"), 1) if "await" in row), 1)
        reason = "What it awaits never comes, so what follows was not run."
        return Judged("raises", reason, line=line or snippet.position(row).line)
    error, name = _error(said)
    if name and snippet.marks.raises.partition(":")[0] in {"*", name}:
        return Judged("expected_error", "It raises what its author says.", error, oracle=True)
    if name == "SyntaxError":
        return Judged("syntax", "It is not valid JavaScript.", error, line)
    for kind, pattern, reason in _CAUSES:
        if cause := pattern.search(said):
            return Judged(kind, reason.format(name=cause["name"]), error, line)
    places = [int(each) for each in _LINE.findall(ends[-1])] if ends else []
    if line is None and places:
        line = snippet.position(places[-1]).line
    reason = "It raises." if name or error else f"It exits with {result.exit_code}."
    return Judged("raises", reason, error, line)


def _of_success(
    snippet: Snippet, result: ProgramResult, rules: Rules, ends: Sequence[str]
) -> Judged:
    if "end" not in ends:
        left = [int(each) for each in _LINE.findall(ends[-1])] if ends else []
        if cut := _cut(snippet, left):
            reason = "It ends itself before its end: what follows was not run."
            return Judged("raises", reason, line=snippet.position(cut).line)
    if wanted := snippet.marks.exit_code:
        reason = f"It exits with 0, and its author says {wanted}."
        return Judged("output_mismatch", reason, oracle=True)
    if snippet.marks.raises:
        return Judged("output_mismatch", "It does not raise what its author says.", oracle=True)
    return _of_output(snippet, result, rules)


def _error(said: str) -> tuple[str, str]:
    """The line that tells what was thrown, and the name of the error if it is one."""
    said = _NODE.sub("", said)
    if match := _ERROR.search(said):
        return match[0].removeprefix("Uncaught "), match[1] or match[2]
    return _text.last_line(said), ""


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
    return Judged(
        "output_mismatch",
        reason,
        line=shown[0].line,
        diff=found.diff,
        oracle=True,
        wrong=(Wrong(shown[0], got),),
    )
