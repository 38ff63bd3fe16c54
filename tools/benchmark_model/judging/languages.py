"""Programs for answers that are not Python functions, and for tests of theirs that have to be taken apart."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, cast

from ..task import Task
from . import values

_BASH_TEST = re.compile(r"^\s*\[\[ \$\(candidate(?P<arguments>.*)\) = (?P<expected>.*) \]\]\s*$")


def call(task: Task, code: str, calls: str) -> tuple[str, tuple[Any, ...]]:
    """Return the function of `driven` that runs an answer, and its arguments.

    `calls` are encoded arguments that go before those of the task's cases.
    """
    if not task.entry_point:
        cases = [(case.stdin, list(case.arguments)) for case in task.cases]
        return "programs", (code, task.language, cases)
    encoded = [one[0] for one in json.loads(calls)] if calls else _of_cases(task)
    if task.language == "bash":
        words = [[_word(values.decode(word)) for word in one] for one in encoded]
        return "functions", (code, task.entry_point, words)
    request = json.dumps({"entry": task.entry_point, "calls": encoded})
    return "javascript", (code, driver(), request)


def driver() -> str:
    """The source of what runs JavaScript."""
    return (Path(__file__).parent / "driver.js").read_text(encoding="utf-8")


def tests_of(task: Task) -> tuple[str, tuple[Any, ...]]:
    """The same for a program without an answer, which says what the calls of tests in JavaScript are."""
    request = json.dumps({"entry": task.entry_point, "tests": task.test})
    return "javascript", ("", driver(), request)


def bash_tests(test: str) -> tuple[str, tuple[Any, ...]] | None:
    """The calls and the expected texts of tests in bash; None where they are not what MultiPL-E has."""
    calls: list[Any] = []
    expected: list[Any] = []
    for line in test.split("\n"):
        match = _BASH_TEST.match(line)
        if match is None:
            if "[[" in line:
                return None
            continue
        try:
            words, wanted = shlex.split(match["arguments"]), shlex.split(match["expected"])
        except ValueError:
            return None
        if len(wanted) != 1 or "$" in line.replace("$(candidate", "", 1):
            return None
        calls.append([words, {"dict": []}])
        expected.append(wanted[0])
    return (json.dumps(calls), tuple(expected)) if calls else None


def _of_cases(task: Task) -> list[list[Any]]:
    calls: list[list[Any]] = []
    for case in task.cases:
        calls += [values.encode(one) for one in cast("list[Any]", json.loads(case.calls))]
    return calls


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)
