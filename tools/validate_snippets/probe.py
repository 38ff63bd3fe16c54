"""Ask the sandbox what it has before anything is run: its Python, its modules, the authors' conditions."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.utils import canonicalize_name

from ...server.sandbox import Cell, InvalidInput, Program, ProgramResult
from .build import Surroundings

_NAME = re.compile(r"[\w.-]+")
_CODE = """
import importlib.metadata, json, platform, pkgutil, shutil, sys
found = sorted({{m.name for m in pkgutil.iter_modules()}} | set(sys.stdlib_module_names))
homes = dict(importlib.metadata.packages_distributions()) if {packages!r} else {{}}
facts = {{'python': platform.python_version(), 'modules': found, 'homes': homes}}
facts['node'] = shutil.which('node') is not None
print({token!r} + json.dumps(facts))
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sandbox has. `true` are the conditions that hold there; `subjects` are the modules of the
    packages that were asked for, `node` whether it runs JavaScript.
    """

    python: str = ""
    modules: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    node: bool = False
    true: frozenset[str] = field(default_factory=frozenset[str])


def programs(
    around: Surroundings, conditions: Collection[str], packages: Sequence[str]
) -> list[Program]:
    """Return what to run: facts first, the given setup, then each condition by itself."""
    code = _CODE.format(token=around.token, packages=bool(packages))
    made = [Program("facts", (Cell(code, "<facts>"),))]
    setup = (Cell(around.setup, "<setup>"),) if around.setup else ()
    if setup:
        made.append(Program("setup", setup, env=around.env, timeout=around.timeout))
    for condition in sorted(conditions):
        cells = (*setup, Cell(f"bool({condition}\n)", "<condition>"))
        made.append(Program(f"if {condition}", cells, env=around.env, timeout=around.timeout))
    return made


def read(results: Sequence[ProgramResult], token: str, packages: Sequence[str]) -> Facts:
    """Return the facts; `packages` are the requirements that were asked for.

    Raises:
        InvalidInput: the setup that was given fails.
    """
    python, modules, subjects = "", frozenset[str](), frozenset[str]()
    true: set[str] = set()
    node = False
    for result in results:
        if result.id == "facts" and result.outcome == "completed":
            said = result.cells[0].stdout.text.partition(token)[2]
            facts: dict[str, Any] = json.loads(said)
            python, modules = str(facts["python"]), frozenset(map(str, facts["modules"]))
            subjects = _subjects(facts["homes"], packages)
            node = bool(facts["node"])
        elif result.id == "setup" and result.outcome != "completed":
            error = result.cells[-1].error if result.cells else None
            why = f"{error.name}: {error.value} (line {error.line})" if error else result.reason
            raise InvalidInput(f"The setup code fails, so no snippet was run: {why}")
        elif result.outcome == "completed" and result.cells[-1].value == "True":
            true.add(result.id.removeprefix("if "))
    return Facts(python, modules, subjects, node, frozenset(true))


def _subjects(homes: Mapping[str, Sequence[str]], packages: Sequence[str]) -> frozenset[str]:
    """The importable modules that these requirements bring themselves."""
    found = (_NAME.match(package.strip()) for package in packages)
    wanted = {canonicalize_name(match[0]) for match in found if match}
    return frozenset(
        module
        for module, names in homes.items()
        if module.isidentifier() and any(canonicalize_name(str(name)) in wanted for name in names)
    )
