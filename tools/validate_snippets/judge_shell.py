"""The verdict on one run of a shell snippet."""

import re

from ...server.sandbox import ProgramResult
from .. import _text
from . import causes, doctests, oracles, shell
from .judged import Judged, Wrong
from .oracles import Comparison, Rules
from .snippet import Expected, Snippet

_NOT_THERE = re.compile(r"^bash: line \d+: ([\w./+-]+): command not found$", re.MULTILINE)
_EXIT = re.compile(r"\s*exit(?:\s+0)?\s*;?\s*(?:#.*)?")
_PLACEHOLDER = re.compile(r"<[A-Za-z][\w .-]*>")


def judge(snippet: Snippet, result: ProgramResult, rules: Rules, token: str) -> Judged:
    """Judge what became of a shell snippet's program."""
    if not result.cells:
        return Judged("infra", "The program ended before anything of it ran.")
    ran = shell.read(result.cells[-1], token)
    text, places = shell.script(snippet)
    line = snippet.position(places.get(ran.line, 1)).line if ran.line else None
    if result.outcome == "timed_out":
        return Judged("timeout", result.reason, line=line)
    if result.exit_code is None or result.outcome in {"killed", "out_of_memory", "output_limit"}:
        return Judged("unsafe", result.reason, line=line)
    left = result.exit_code == 0 and _left_at_its_end(ran, text)
    if snippet.marks.exit_code or snippet.marks.raises:
        return _of_mark(snippet, result, ran, rules)
    if result.exit_code != 0 or not (ran.whole or left):
        return _of_failure(result, ran, text, line)
    for first, said in ran.errors.items():
        # `eval "$(missing)"` exits with 0.
        if match := _NOT_THERE.search(said):
            at = snippet.position(places.get(first, 1)).line
            return Judged("needs_dependency", f"The command {match[1]} is not there.", match[0], at)
    return _of_outputs(snippet, ran, rules)


def _of_mark(snippet: Snippet, result: ProgramResult, ran: shell.Ran, rules: Rules) -> Judged:
    """Judge commands of which their author says that the last one fails."""
    text, places = shell.script(snippet)
    wanted = snippet.marks.exit_code
    line = snippet.position(places.get(ran.line, 1)).line if ran.line else None
    if result.exit_code == 0:
        says = f"that it exits with {wanted}" if wanted else "that it fails"
        reason = f"It exits with 0, and its author says {says}."
        return Judged("output_mismatch", reason, line=line, oracle=True)
    error = _text.last_line(ran.errors.get(ran.line, ""))
    failed = _of_failure(result, ran, text, line)
    if wanted and result.exit_code != wanted:
        return failed
    if not wanted and snippet.marks.raises != "*":
        raised = oracles.Raised(*(part.strip() for part in error.partition(":")[::2]))
        if not oracles.raises_matches(snippet.marks.raises, raised).matches:
            return failed
    elif not wanted and failed.kind != "raises":
        return failed  # any failure would do, and this one says nothing about the commands
    if not _is_over(ran, text):
        return Judged("raises", "It fails before its last command ran.", error, line)
    shown = _of_outputs(snippet, ran, rules)
    reason = f"It exits with {result.exit_code}, as its author says."
    return Judged("expected_error", reason, error, oracle=True) if shown.passed else shown


def _is_over(ran: shell.Ran, text: str) -> bool:
    rest = (line.strip() for line in text.split("\n")[ran.end :])
    return all(not line or line.startswith("#") for line in rest)


def _left_at_its_end(ran: shell.Ran, text: str) -> bool:
    """Whether a script ends with `exit 0`, and came to it."""
    lines = text.split("\n")
    last = "\n".join(lines[max(0, ran.line - 1) : ran.end])
    return _EXIT.fullmatch(last) is not None and _is_over(ran, text)


def _of_failure(result: ProgramResult, ran: shell.Ran, text: str, line: int | None) -> Judged:
    said = f"{ran.outputs.get(ran.line, '')}\n{ran.errors.get(ran.line, '')}"[-4000:]
    # What comes after it explains nothing: it was not run.
    command = "\n".join(text.split("\n")[max(0, ran.line - 1) : ran.end])
    error = _text.last_line(ran.errors.get(ran.line, "")) or _text.last_line(said)
    if result.exit_code == 0:
        return Judged("raises", "It exits before its last command ran.", error, line)
    if "syntax error" in said and result.exit_code == 2 and _PLACEHOLDER.search(text):
        return Judged("not_code", "It has placeholders where words belong.", error, line)
    if "syntax error" in said and result.exit_code == 2:
        return Judged("syntax", "The shell cannot read it.", error, line)
    if "No rule to make target" in said and "akefile" not in text:
        return Judged("needs_file", "It wants a Makefile, which is not there.", error, line)
    if cause := causes.of_shell(said, result.exit_code, command):
        return Judged(cause[0], cause[1], error, line)
    return Judged("raises", f"A command exits with {result.exit_code}.", error, line)


def _of_outputs(snippet: Snippet, ran: shell.Ran, rules: Rules) -> Judged:
    if snippet.marks.output == "ignore":
        return Judged("works")
    unordered = snippet.marks.output == "unordered"
    compared: list[tuple[Expected, str, Comparison]] = []
    first = 1
    for command in snippet.commands:
        if command.output is not None:
            streams = ran.outputs.get(first, ""), ran.errors.get(first, "")
            got, found = _on_a_terminal(command.output, streams, rules, unordered=unordered)
            compared.append((command.output, got, found))
        first += max(1, command.source.rstrip("\n").count("\n") + 1)
    for shown in snippet.expected:
        if shown.after_line == 0:
            streams = "".join(ran.outputs.values()), "".join(ran.errors.values())
            got, found = _on_a_terminal(shown, streams, rules, unordered=unordered)
            compared.append((shown, got, found))
    mismatches = [one for one in compared if not one[2].matches]
    if mismatches and all(_is_typed_into(shown) for shown, _, _ in mismatches):
        reason = "It starts an interpreter to type into, and here is nobody to do so."
        return Judged("interactive", reason, line=mismatches[0][0].line - 1)
    for shown, _, found in compared:
        if not found.matches and not _is_typed_into(shown):
            reason = "What it prints is not what is shown."
            wrong = tuple(Wrong(one, got) for one, got, _ in mismatches if not _is_typed_into(one))
            return Judged(
                "output_mismatch",
                reason,
                line=shown.line,
                diff=found.diff,
                oracle=True,
                wrong=wrong,
            )
    return Judged("works", oracle=any(found.checked for _, _, found in compared))


def _on_a_terminal(
    shown: Expected, streams: tuple[str, str], rules: Rules, *, unordered: bool
) -> tuple[str, Comparison]:
    """Compare what is shown with standard output, or with both streams, which a terminal shows alike."""
    out, err = streams
    found = oracles.compare(shown, out, rules, unordered=unordered)
    if found.matches or not err.strip():
        return out, found
    for got in (out + err, err + out):
        both = oracles.compare(shown, got, rules, unordered=unordered)
        if both.matches:
            return got, both
    return (out, found) if out.strip() else (err, both)


def _is_typed_into(shown: Expected) -> bool:
    """Whether what stands behind a command are questions and answers: `>>> 1 + 1` behind `$ python`."""
    return shown.source == "console" and any(map(doctests.has_prompt, shown.text.split("\n")))
