"""Tasks from files in the formats in which datasets are published, and in our own.

HumanEval, HumanEval+ and MBPP+ (the releases of evalplus, with inputs or with tests), MBPP (full and
sanitized) and MultiPL-E are told apart by their fields.
"""

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...server.sandbox import InvalidInput
from . import own_format
from .asserts import NotData, case_of
from .judging import values
from .rows import Row, read_rows
from .task import Case, Check, Language, Task

HEADER = """\
import collections
import copy
import datetime
import functools
import hashlib
import heapq
import itertools
import math
import operator
import random
import re
import string
import sys
from collections import *
from functools import cache, lru_cache, reduce
from typing import *
"""
"""What answers to completion tasks often take for given. No numpy: importing it
takes seconds. No name of Python's own is changed by them.
"""

_LANGUAGES: Mapping[str, Language] = {
    "py": "python", "python": "python", "js": "javascript", "javascript": "javascript",
    "sh": "bash", "bash": "bash",
}  # fmt: skip
# What evalplus compares as sets, and by truth, since several answers are right.
_AS_SETS = frozenset({
    "similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
    "intersection_array", "find_dissimilar", "Diff",
})  # fmt: skip
_BY_TRUTH = frozenset({"check_str", "text_match_three", "text_starta_endb"})


def read_tasks(path: Path) -> dict[str, Task]:
    """Read all tasks of a file, in its order.

    Raises:
        InvalidInput: it cannot be read, or a row is no task; the message names the line.
    """
    tasks: dict[str, Task] = {}
    for row in read_rows(path):
        task = _task(row)
        if task.id in tasks:
            raise row.wrong(f'the task "{task.id}" is there twice')
        tasks[task.id] = task
    if not tasks:
        raise InvalidInput(f"There is no task in {path.name}. Nothing was run.")
    return tasks


def _task(row: Row) -> Task:
    fields = row.fields.keys()
    make: Callable[[Row], Task]
    if {"base_input", "plus_input"} <= fields:
        make = _plus
    elif {"test_list", "code"} <= fields:
        make = _mbpp
    elif {"tests", "name", "language"} <= fields:
        make = _multipl_e
    elif {"test", "canonical_solution"} <= fields:
        make = _human_eval
    elif "id" in fields:
        make = own_format.task
    else:
        formats = "HumanEval, HumanEval+, MBPP, MBPP+, MultiPL-E or proofbox's own"
        raise row.wrong(f"this is no row of {formats}")
    task = replace(make(row), source=row.place)
    if not task.entry_point.isidentifier() and task.language != "bash" and task.entry_point:
        raise row.wrong(f'"{task.entry_point}" is no name of a function')
    return task


def _human_eval(row: Row) -> Task:
    prompt, test = row.text("prompt"), row.text("test")
    entry_point = row.text("entry_point")
    return Task(
        id=row.text("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        cases=_taken_apart(row, test, entry_point),
        test=test,
        prelude=_whole(prompt),
        reference=prompt + row.text("canonical_solution"),
        needs=_helpers(prompt, test, entry_point),
        header=HEADER,
    )


def _whole(prompt: str) -> str:
    """The prompt as a program: one that ends with a function's first line lacks its body."""
    last = prompt.rstrip().rpartition("\n")[2]
    return f"{prompt.rstrip()}\n    pass\n" if last.endswith(":") else prompt


def _helpers(prompt: str, test: str, entry_point: str) -> tuple[str, ...]:
    """The prompt's other functions that the tests use."""
    try:
        given = {n.name for n in ast.parse(_whole(prompt)).body if isinstance(n, ast.FunctionDef)}
    except (SyntaxError, ValueError):
        return ()
    used = {n.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)}
    return tuple(sorted((given & used) - {entry_point}))


def _taken_apart(row: Row, test: str, entry_point: str) -> tuple[Case, ...]:
    """The tests as data, or nothing where they are not."""
    try:
        body = ast.parse(test).body
    except (SyntaxError, ValueError) as error:
        raise row.wrong(f'"test" is no Python: {error}') from error
    checks = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    names = frozenset({"candidate", entry_point})
    try:
        return (case_of(checks[-1].body if checks else body, names),)
    except NotData:
        return ()


def _mbpp(row: Row) -> Task:
    code, asserts = row.text("code"), row.texts("test_list")
    asked = row.text("text", "") or row.text("prompt")
    setup = row.text("test_setup_code", "") or "\n".join(row.texts("test_imports"))
    test = "\n".join([setup, *asserts, *row.texts("challenge_test_list")]).strip()
    entry_point = _called(row, code, asserts)
    number = row.fields.get("task_id")
    return Task(
        id=f"MBPP/{number}",
        prompt=f"{asked.strip()}\nYour code should pass these tests:\n" + "\n".join(asserts),
        entry_point=entry_point,
        kind="instruction",
        cases=_taken_apart(row, test, entry_point),
        test=test,
        prelude=setup,
        reference=code,
        header=HEADER,
    )


def _called(row: Row, code: str, asserts: list[str]) -> str:
    """The function that the tests call: the last one that the code defines and a test names."""
    try:
        defined = [
            n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef | ast.ClassDef)
        ]
        tree = ast.parse("\n".join(asserts))
    except (SyntaxError, ValueError) as error:
        raise row.wrong(f"this is no Python: {error}") from error
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    called = [name for name in defined if name in named]
    if not called:
        raise row.wrong("no test calls what the code defines")
    return called[-1]


def _plus(row: Row) -> Task:
    """A row of evalplus, which has arguments; what they should give is what the reference gives."""
    prompt, entry_point = row.text("prompt"), row.text("entry_point")
    inputs = [*_inputs(row, "base_input"), *_inputs(row, "plus_input")]
    tolerance = row.fields.get("atol") or 0
    if not isinstance(tolerance, int | float):
        raise row.wrong('"atol" must be a number')
    completes = f"def {entry_point}(" in prompt  # those of MBPP are in prose
    task = Task(
        id=row.text("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        kind="completion" if completes else "instruction",
        reference=(prompt if completes else "") + row.text("canonical_solution"),
        header=HEADER,
        cpu_seconds=20,
        wall_seconds=60.0,
    )
    if entry_point == "find_zero":
        test = f"for _x in {inputs!r}:\n    assert abs(poly(*_x, candidate(*_x))) <= {tolerance or 1e-4}"
        return replace(task, test=test, prelude=_whole(prompt))
    like = Check("", relation="close", tolerance=float(tolerance) or 1e-6, relative=1e-7)
    if entry_point in _AS_SETS:
        like = Check("", relation="same_items")
    elif entry_point in _BY_TRUTH:
        like = Check("", relation="truth")
    calls: list[Any] = [[values.encode(arguments), {"dict": []}] for arguments in inputs]
    return replace(task, calls=json.dumps(calls), like=like)


def _inputs(row: Row, name: str) -> list[list[Any]]:
    given: Any = row.fields[name] or []
    if not isinstance(given, list) or not all(isinstance(one, list) for one in given):  # pyright: ignore[reportUnknownVariableType]
        raise row.wrong(f'"{name}" must be a list of lists of arguments')
    return given  # pyright: ignore[reportUnknownVariableType]


def _multipl_e(row: Row) -> Task:
    name = row.text("language")
    language = _LANGUAGES.get(name)
    if language is None:
        known = ", ".join(sorted(set(_LANGUAGES)))
        raise row.wrong(f'the language "{name}" cannot be judged here, only {known}')
    identity = row.text("name")
    entry_point = identity.split("_", 2)[-1]
    prompt, tests = row.text("prompt"), row.text("tests")
    task = Task(identity, prompt, entry_point, language=language, test=tests)
    if language == "python":
        cases = _taken_apart(row, _without_call(tests), entry_point)
        return replace(task, cases=cases, test=_without_call(tests), header=HEADER)
    return replace(task, cpu_seconds=10)


def _without_call(tests: str) -> str:
    """Python tests end with calls of their own `check`, which is ours to make."""
    kept = [
        line
        for line in tests.split("\n")
        if not line.lstrip().startswith(("check(", "test_check("))
    ]
    return "\n".join(kept).replace("def test_check():", "def _unused():\n    pass")
