"""The tasks that come with proofbox: one file each in `builtin_tasks`.

A file has a prompt, a reference solution, tests that are data, and wrong solutions that the tests must
reject: whole ones, or the reference with `old` replaced by `new`.
"""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import own_format
from .rows import Row
from .task import Task, Wrong


def builtin_tasks() -> dict[str, Task]:
    """Return all built-in tasks, the easiest first, by their names.

    Raises:
        InvalidInput: a task is broken.
    """
    files = (Path(__file__).parent / "builtin_tasks").glob("*.toml")
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    tasks = [_task(name, tomllib.loads(text)) for name, text in sorted(texts.items())]
    return {task.id: task for task in sorted(tasks, key=lambda task: (task.difficulty, task.id))}


def _task(name: str, fields: dict[str, Any]) -> Task:
    stem = name.removesuffix(".toml")
    own = {key: value for key, value in fields.items() if key not in ("wrong", "allows", "tests")}
    row = Row(name, {"id": stem, "kind": "completion", "strict": "tolerance" not in own, **own})
    made = own_format.described(row)
    tested = own_format.from_asserts(Row(name, {**row.fields, "tests": fields["tests"]}), made)
    if not tested.cases:
        raise row.wrong("its tests are no data")
    wrong = tuple(_wrong(row, made.reference, one) for one in fields["wrong"])
    allows = frozenset(fields.get("allows", ()))
    return replace(tested, wrong=wrong, allows=allows, source="builtin")


def _wrong(row: Row, reference: str, fields: dict[str, str]) -> Wrong:
    code = fields.get("code")
    if code is None:
        if reference.count(fields["old"]) != 1:
            raise row.wrong(f'"{fields["old"]}" is not there once')
        code = reference.replace(fields["old"], fields["new"])
    return Wrong(code, fields["why"], fields.get("outcome", "wrong_answer"))
