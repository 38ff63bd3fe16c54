"""Ask the sandbox what it has before anything is run: its Python, its modules, the authors' conditions."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...server.sandbox import Cell, InvalidInput, Program, ProgramResult
from .build import Surroundings

_CODE = """
import json, platform, pkgutil, sys
found = sorted({{m.name for m in pkgutil.iter_modules()}} | set(sys.stdlib_module_names))
print({token!r} + json.dumps({{'python': platform.python_version(), 'modules': found}}))
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sandbox has. `true` are the conditions that hold there."""

    python: str = ""
    modules: frozenset[str] = frozenset()
    true: frozenset[str] = field(default_factory=frozenset[str])


def programs(around: Surroundings, conditions: Collection[str]) -> list[Program]:
    """Return what to run: facts first, the given setup, then each condition by itself."""
    made = [Program("facts", (Cell(_CODE.format(token=around.token), "<facts>"),))]
    setup = (Cell(around.setup, "<setup>"),) if around.setup else ()
    if setup:
        made.append(Program("setup", setup, env=around.env, timeout=around.timeout))
    for condition in sorted(conditions):
        cells = (*setup, Cell(f"bool({condition}\n)", "<condition>"))
        made.append(Program(f"if {condition}", cells, env=around.env, timeout=around.timeout))
    return made


def read(results: Sequence[ProgramResult], token: str) -> Facts:
    """Return the facts.

    Raises:
        InvalidInput: the setup that was given fails.
    """
    python, modules = "", frozenset[str]()
    true: set[str] = set()
    for result in results:
        if result.id == "facts" and result.outcome == "completed":
            said = result.cells[0].stdout.text.partition(token)[2]
            facts: dict[str, Any] = json.loads(said)
            python, modules = str(facts["python"]), frozenset(map(str, facts["modules"]))
        elif result.id == "setup" and result.outcome != "completed":
            error = result.cells[-1].error if result.cells else None
            why = f"{error.name}: {error.value} (line {error.line})" if error else result.reason
            raise InvalidInput(f"The setup code fails, so no snippet was run: {why}")
        elif result.outcome == "completed" and result.cells[-1].value == "True":
            true.add(result.id.removeprefix("if "))
    return Facts(python, modules, frozenset(true))
