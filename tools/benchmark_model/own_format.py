"""Our own format of tasks: JSON Lines, one object a task.

| field | what |
|---|---|
| `id`, `prompt` | text |
| `entry_point` | the function or class that is called; without one the answer is a program that reads and writes |
| `language` | `python` (the default), `javascript` or `bash` |
| `kind` | `instruction` (the default) or `completion`: the prompt is the beginning of the program |
| `tests` | Python only: lines that call the entry point and compare, like `assert f(1) == 2` |
| `cases` | instead of tests: `[{"input": [1], "output": 2}]`; for programs `[{"stdin": "", "arguments": [], "stdout": ""}]` |
| `strict`, `tolerance` | whether 1 is not 1.0 and True is not 1; by how much numbers may differ |
| `reference`, `note`, `difficulty` | a right program; what the task probes; 1 to 5 |
| `cpu_seconds`, `wall_seconds`, `memory_bytes` | limits |
"""

import ast
import json
from dataclasses import replace
from typing import Any, cast

from .asserts import NotData, case_of
from .rows import Row
from .task import Case, Check, Language, Relation, Task

_FIELDS = frozenset({
    "id", "prompt", "entry_point", "language", "kind", "tests", "cases", "strict", "tolerance",
    "reference", "note", "difficulty", "cpu_seconds", "wall_seconds", "memory_bytes", "header",
})  # fmt: skip


def task(row: Row) -> Task:
    """The task of a row. Raises InvalidInput."""
    made = described(row)
    return _with_tests(row, made, made.language)


def described(row: Row) -> Task:
    """The task of a row without its tests. Raises InvalidInput."""
    unknown = sorted(row.fields.keys() - _FIELDS)
    if unknown:
        raise row.wrong(f"unknown fields: {', '.join(unknown)}")
    language, kind = row.text("language", "python"), row.text("kind", "instruction")
    if language not in ("python", "javascript", "bash"):
        raise row.wrong(f'the language "{language}" cannot be judged')
    if kind not in ("instruction", "completion"):
        raise row.wrong('"kind" is instruction or completion')
    made = Task(
        id=row.text("id"),
        prompt=row.text("prompt"),
        entry_point=row.text("entry_point", ""),
        language=language,
        kind=kind,
        reference=row.text("reference", ""),
        header=row.text("header", ""),
        note=row.text("note", ""),
    )
    limits = {
        name: _number(row, name)
        for name in ("cpu_seconds", "wall_seconds", "memory_bytes", "difficulty")
        if name in row.fields
    }
    return replace(made, **cast("dict[str, Any]", limits))


def _number(row: Row, name: str) -> float:
    value: Any = row.fields[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        raise row.wrong(f'"{name}" must be a number over 0')
    if name == "wall_seconds":
        return float(value)
    if value != int(value):
        raise row.wrong(f'"{name}" must be a whole number')
    return int(value)


def _with_tests(row: Row, made: Task, language: Language) -> Task:
    given = row.fields.get("cases")
    if ("tests" in row.fields) == bool(given):
        raise row.wrong('a task has either "tests" or "cases"')
    if not given:
        if language != "python":
            raise row.wrong('"tests" are for Python; give "cases"')
        return from_asserts(row, made)
    if not isinstance(given, list):
        raise row.wrong('"cases" must be a list')
    cases = cast("list[Any]", given)
    if not made.entry_point:
        return replace(made, cases=tuple(_program_case(row, case) for case in cases))
    return replace(made, cases=(_function_case(row, cases, made.entry_point),))


def from_asserts(row: Row, made: Task) -> Task:
    """The task with its tests: data where they can be taken apart, else as they are."""
    tests = row.text("tests")
    try:
        body = ast.parse(tests).body
    except (SyntaxError, ValueError) as error:
        raise row.wrong(f'"tests" are no Python: {error}') from error
    if not any(isinstance(node, ast.Assert | ast.With) for node in ast.walk(ast.Module(body, []))):
        raise row.wrong('"tests" check nothing')
    try:
        case = case_of(body, frozenset({"candidate", made.entry_point}), setup=True)
    except NotData:
        return replace(made, test=tests)
    checks = tuple(_like(row, check) for check in case.checks)
    return replace(made, cases=(replace(case, checks=checks),))


def _like(row: Row, check: Check) -> Check:
    """A check as strict, or as tolerant, as the task wants its checks."""
    if check.raises or check.relation != "equal":
        return check
    relation, tolerance = _relation(row)
    return replace(check, relation=relation, tolerance=tolerance)


def _relation(row: Row) -> tuple[Relation, float]:
    strict = row.fields.get("strict", False)
    if not isinstance(strict, bool):
        raise row.wrong('"strict" must be true or false')
    if "tolerance" in row.fields:
        if strict:
            raise row.wrong('a task is either "strict" or has a "tolerance"')
        tolerance: Any = row.fields["tolerance"]
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or tolerance <= 0:
            raise row.wrong('"tolerance" must be a number over 0')
        return "close", float(tolerance)
    return ("strict" if strict else "equal"), 0.0


def _function_case(row: Row, given: list[Any], entry_point: str) -> Case:
    relation, tolerance = _relation(row)
    if row.fields.get("language") == "bash":
        relation = "same_text"
    lines: list[str] = []
    checks: list[Check] = []
    for one in given:
        if not isinstance(one, dict) or one.keys() != {"input", "output"}:
            raise row.wrong('each of "cases" has "input" (a list of arguments) and "output"')
        case = cast("dict[str, Any]", one)
        if not isinstance(case["input"], list):
            raise row.wrong('"input" must be a list of arguments')
        arguments = ", ".join(map(repr, cast("list[Any]", case["input"])))
        lines.append(f"__check__(candidate({arguments}))")
        shown = f"{entry_point}({arguments}) == {case['output']!r}"
        if relation == "same_text" and not isinstance(case["output"], str):
            raise row.wrong('"output" of a bash function is what it prints, so it must be text')
        checks.append(Check(shown, case["output"], relation=relation, tolerance=tolerance))
    try:
        calls = json.dumps([case["input"] for case in given], allow_nan=False)
    except ValueError as error:
        raise row.wrong('"input" has a number that JSON has not; use "tests"') from error
    return Case("\n".join(lines), tuple(checks), calls)


def _program_case(row: Row, one: Any) -> Case:
    known = {"stdin", "arguments", "stdout"}
    if (
        not isinstance(one, dict)
        or "stdout" not in one
        or cast("dict[str, Any]", one).keys() - known
    ):
        raise row.wrong('each of "cases" has "stdout", and may have "stdin" and "arguments"')
    case = cast("dict[str, Any]", one)
    stdin, arguments = case.get("stdin", ""), case.get("arguments", [])
    stdout = case["stdout"]
    if not isinstance(stdin, str) or not isinstance(stdout, str):
        raise row.wrong('"stdin" and "stdout" must be text')
    if not isinstance(arguments, list) or not all(
        isinstance(a, str) for a in cast("list[Any]", arguments)
    ):
        raise row.wrong('"arguments" must be a list of texts')
    words = cast("list[str]", arguments)
    shown = f"what it prints for {' '.join(words) or stdin[:100]!r}"
    check = Check(shown, stdout, relation="same_text")
    return Case("", (check,), stdin=stdin, arguments=tuple(words))
