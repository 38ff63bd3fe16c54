"""What a program's result says about an answer. Exit codes and printed text decide nothing here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ....server.sandbox import CellResult, ProgramResult
from ..sample import Outcome
from ..task import Check, Task
from . import relations, values
from .build import Plan

_FLOOD_BYTES = 4 * 1024**2
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome and why. `doubtful`: what other programs do to the machine may have caused it.

    `calls` is set where the tests still have to be replayed on what was given: the arguments and results.
    """

    outcome: Outcome
    reason: str = ""
    doubtful: bool = False
    checks: int = 0
    passed: int = 0
    calls: str = ""


def of_answer(task: Task, plan: Plan, result: ProgramResult, nonce: str) -> Finding:
    """Judge an answer by what became of its program."""
    if len(result.cells) < 2:
        reason = "The program ended before the answer was loaded."
        return Finding("infra_error", result.reason or reason, doubtful=True)
    if ended := _ended_badly(task, result):
        return ended
    said = said_in(result.cells[1])
    if said is None:
        return Finding("crashed", "It interfered with the channel on which it is called.")
    loaded = said.get("load", said)
    if "load" in said or "syntax" in said:
        return _of_load(cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {})
    if "unavailable" in said:
        return Finding("infra_error", f"The sandbox cannot run it: {said['unavailable']}")
    if plan.method == "compared":
        return _like_reference(task, plan, said) if plan.calls else _compared(_checks(task), said)
    if plan.method == "replayed":
        return _recorded(plan, said)
    return _in_process(said, nonce)


def of_replay(result: ProgramResult) -> Finding:
    """Judge an answer by the tests that were run on what it gave."""
    if result.outcome in {"timed_out", "out_of_memory", "killed"}:
        return Finding("wrong_answer", "What it gave is too large to be tested.", doubtful=True)
    said = said_in(result.cells[-1]) if len(result.cells) == 2 else None
    if result.outcome != "completed" or said is None:
        return Finding("infra_error", f"The tests could not be run. {result.reason}", doubtful=True)
    if "unknown_call" in said:
        reason = "The tests make other calls of it than they made of the reference."
        return Finding("infra_error", reason)
    if "ended" in said:
        return Finding("passed")
    return Finding("wrong_answer", _of_assertion(error_in(said)))


def said_in(cell: CellResult) -> dict[str, Any] | None:
    """Return what our module in the answer's process said; None where it is nothing that it says."""
    try:
        said: Any = json.loads(cell.value or "")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _ended_badly(task: Task, result: ProgramResult) -> Finding | None:
    last = result.cells[-1]
    reason = last.reason or result.reason
    match result.outcome:
        case "completed":
            return None
        case "timed_out":
            return _overtime(last, f"It did not end within {task.wall_seconds:g} s.", doubtful=True)
        case "exited":
            return Finding("early_exit", "It ended its own process before its tests were done.")
        case "out_of_memory":
            return Finding("memory", reason, doubtful=True)
        case "output_limit":
            return Finding("output_limit", reason)
        case "killed":
            return _killed(task, last, reason)
        case "raised":
            return Finding("crashed", f"It broke the module that calls it. {reason}", doubtful=True)


def _killed(task: Task, last: CellResult, reason: str) -> Finding:
    spent = f"It used up its {task.cpu_seconds} s of CPU time."
    if "CPU time" in reason:
        return _overtime(last, spent)
    if "SIGKILL" in reason and last.seconds > task.cpu_seconds:
        # Code that ignores the first signal gets this one a second later.
        return _overtime(last, spent)
    return Finding("crashed", reason, doubtful="SIGKILL" in reason)


def _overtime(last: CellResult, reason: str, *, doubtful: bool = False) -> Finding:
    if last.stdout.omitted + last.stderr.omitted > _FLOOD_BYTES:
        return Finding("output_limit", "It would not stop printing.")
    return Finding("timeout", reason, doubtful=doubtful)


def _of_load(loaded: dict[str, Any]) -> Finding:
    if "syntax" in loaded:
        line = f" at line {loaded['line']}" if loaded.get("line") else ""
        return Finding("syntax_error", _cut(f"It is no valid program{line}: {loaded['syntax']}"))
    return _ended_early(loaded)


def _ended_early(said: dict[str, Any]) -> Finding:
    if "left" in said:
        return Finding("early_exit", "It called sys.exit before its tests were done.")
    if "too_large" in said:
        return Finding("wrong_answer", "It returned more than can be compared.")
    if "flooded" in said:
        return Finding("output_limit", "It would not stop printing.")
    if "killed" in said:
        return _of_signal(str(said["killed"]))
    error = error_in(said)
    if not error:
        return Finding("crashed", "It interfered with the module that calls it.")
    if "MemoryError" in _classes(error):
        return Finding("memory", "It ran out of memory.", doubtful=True)
    line = told(error)
    # A process or a thread that could not be started may be the doing of another answer.
    starved = "OSError" in _classes(error) or "thread" in line
    return Finding("exception", line, doubtful=starved)


def _of_signal(name: str) -> Finding:
    if name == "SIGXCPU":
        return Finding("timeout", "It used up its CPU time.")
    if name == "SIGXFSZ":
        return Finding("output_limit", "It would not stop printing.")
    return Finding("crashed", f"It was killed by {name[:50]}.", doubtful=name == "SIGKILL")


def _checks(task: Task) -> tuple[Check, ...]:
    return tuple(check for case in task.cases for check in case.checks)


def _compared(checks: Sequence[Check], said: dict[str, Any]) -> Finding:
    given: list[Any] = said["given"] if isinstance(said.get("given"), list) else []
    passed = 0
    for check, value in zip(checks, given, strict=False):
        wrong = _mismatch(check, value)
        if wrong:
            return Finding("wrong_answer", wrong, checks=len(checks), passed=passed)
        passed += 1
    if "ended" not in said:
        return replace(_ended_early(said), checks=len(checks), passed=passed)
    if len(given) != len(checks):
        return Finding("crashed", "It interfered with the module that calls it.")
    return Finding("passed", checks=len(checks), passed=passed)


def _like_reference(task: Task, plan: Plan, said: dict[str, Any]) -> Finding:
    calls: list[Any] = json.loads(plan.calls)
    checks: list[Check] = []
    for (arguments, _), expected in zip(calls, plan.expected, strict=True):
        shown = ", ".join(map(relations.shown, values.decode(arguments)))
        text = f"{task.entry_point}({shown})"
        checks.append(replace(task.like, shown=text, expected=values.decode(expected)))
    return _compared(checks, said)


def _mismatch(check: Check, said: Any) -> str:
    """Why a check does not hold, empty if it does."""
    given = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    if "raised" in given:
        names: Any = given["raised"]
        classes = cast("list[Any]", names) if isinstance(names, list) else []
        if check.raises and relations.raises(check, classes):
            return ""
        return _cut(f"{check.shown}: it raised {classes[0] if classes else 'something'}.")
    try:
        value = values.decode(given["value"])
    except (KeyError, ValueError):
        return "It interfered with the module that calls it."
    if not check.raises and relations.holds(check, value):
        return ""
    return _cut(f"{check.shown}: it gave {relations.shown(value)}.")


def _recorded(plan: Plan, said: dict[str, Any]) -> Finding:
    calls: list[Any] = json.loads(plan.calls)
    given: list[Any] = said["given"] if isinstance(said.get("given"), list) else []
    if "ended" not in said:
        return _ended_early(said)
    if len(given) != len(calls):
        return Finding("crashed", "It interfered with the module that calls it.")
    try:
        pairs = [[call, value["value"]] for call, value in zip(calls, given, strict=True)]
    except (KeyError, TypeError):
        return Finding("crashed", "It interfered with the module that calls it.")
    return Finding("passed", calls=json.dumps(pairs))


def _in_process(said: dict[str, Any], nonce: str) -> Finding:
    if "ended" in said:
        if said.get("given") == [nonce]:
            return Finding("passed")
        return Finding("early_exit", "It did not come to the end of its tests.")
    if "AssertionError" in _classes(error_in(said)):
        return Finding("wrong_answer", _of_assertion(error_in(said)))
    return _ended_early(said)


def error_in(said: dict[str, Any]) -> dict[str, Any]:
    """Return the exception that was described, empty where there is none."""
    error = said.get("error")
    return cast("dict[str, Any]", error) if isinstance(error, dict) else {}


def _classes(error: dict[str, Any]) -> list[Any]:
    names: Any = error.get("classes")
    return cast("list[Any]", names) if isinstance(names, list) else []


def _of_assertion(error: dict[str, Any]) -> str:
    if "AssertionError" in _classes(error):
        text = str(error.get("text") or "")
        return _cut(f"A test does not hold: {text}" if text else "A test does not hold.")
    return _cut(f"A test cannot use what it gave: {told(error)}")


def told(error: dict[str, Any]) -> str:
    """Return an exception in one line."""
    name = next(iter(_classes(error)), "It failed")
    line = f" at line {error['line']}" if isinstance(error.get("line"), int) else ""
    return _cut(f"{name}{line}: {error.get('text') or ''}".rstrip(": "))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
