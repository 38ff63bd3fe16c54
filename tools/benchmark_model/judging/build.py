"""Programs for answers: what goes into a sandbox."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ....server.sandbox import Cell, Program
from ..task import Task
from . import languages

Method = Literal["compared", "replayed", "in_process"]

PRELOAD = ("bisect", "copy", "heapq", "random", "string")
"""What sandboxes for answers import beforehand: what we need there, and what answers import most often."""

_MODULE = "proofbox_tests"
_SETUP = """\
import marshal, sys, types
_package = sys.modules["{module}"] = types.ModuleType("{module}")
_package.__path__ = []
for _name, _code in zip({names}, {codes}):
    _tests = sys.modules["{module}." + _name] = types.ModuleType("{module}." + _name)
    _tests.__package__ = "{module}"
    setattr(_package, _name, _tests)
    exec(_code, _tests.__dict__)
"""
_NAMES = ("values", "served", "driven")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the answers to a task are judged.

    `calls` are encoded arguments, where the task's cases have none: for `replayed` those of the calls that
    the dataset's tests make; for `compared` those that it names, and then `expected` has what the
    reference gave, encoded too. `problem` says why none can be judged.
    """

    method: Method
    calls: str = ""
    expected: tuple[Any, ...] = ()
    problem: str = ""


def compiling() -> Program:
    """Return the program that compiles our modules for the interpreter of a sandbox; its value is for `Builder`."""
    sources = [f"compile({text!r}, '<{name}>', 'exec')" for name, text in _sources()]
    return Program("compile", (Cell(f"import marshal\nmarshal.dumps([{', '.join(sources)}])"),))


class Builder:
    """Makes the programs of one sandbox.

    `compiled` is what `compiling` gave there: compiling anew takes longer than all else that most answers do.
    """

    def __init__(self, compiled: str = "") -> None:
        codes = f"marshal.loads({compiled})" if compiled else _uncompiled()
        self._served = _SETUP.format(names=_NAMES[:2], codes=codes, module=_MODULE)
        self._driven = _SETUP.format(names=_NAMES, codes=codes, module=_MODULE)

    def answer(self, task: Task, code: str, plan: Plan, name: str, nonce: str) -> Program:
        """Return the program that loads an answer and calls it: a cell for our side, one for the answer."""
        if task.language != "python" or not task.entry_point:
            function, arguments = languages.call(task, code, plan.calls)
            return self._drive(task, function, arguments, name)
        match plan.method:
            case "compared" if plan.calls:
                call = ("calls", plan.calls, task.entry_point)
            case "compared":
                text = "\n".join(case.code for case in task.cases)
                call = ("script", text, task.entry_point)
            case "replayed":
                call = ("calls", plan.calls, task.entry_point)
            case "in_process":
                call = ("test", task.test, task.prelude, task.entry_point, nonce)
        # Modules that an answer could change are kept for tests that run beside it.
        kept = _imported(task) if plan.method == "in_process" else None
        answer = _call("answer", code, task.needs, *call)
        return Program(name, (self._limits(task, kept), answer), timeout=task.wall_seconds)

    def record(self, task: Task, name: str) -> Program:
        """Return the program that learns from the reference which calls the tests make."""
        said = _call("record", task.test, task.prelude, task.entry_point)
        cells = (self._limits(task), _call("load", task.reference, task.needs), said)
        return Program(name, cells, timeout=task.wall_seconds)

    def expect(self, task: Task, name: str) -> Program:
        """Return the program that asks the reference what the task's calls should give."""
        said = _call("calls", task.calls, task.entry_point, go_on=True)
        cells = (self._limits(task), _call("load", task.reference, task.needs), said)
        return Program(name, cells, timeout=task.wall_seconds)

    def replay(self, task: Task, calls: str, name: str) -> Program:
        """Return the program that runs the tests on what an answer gave; the answer is not in it."""
        said = _call("replay", task.test, task.prelude, task.entry_point, calls)
        return Program(name, (self._limits(task), said), timeout=task.wall_seconds)

    def tests(self, task: Task, name: str) -> Program:
        """Return the program that takes tests in JavaScript apart."""
        return self._drive(task, *languages.tests_of(task), name)

    def _drive(self, task: Task, function: str, arguments: tuple[Any, ...], name: str) -> Program:
        setup = f"{self._driven}_tests.limit({task.cpu_seconds})"
        cells = (Cell(setup, "<setup>"), _call(function, *arguments, module="driven"))
        return Program(name, cells, timeout=task.wall_seconds)

    def _limits(self, task: Task, kept: list[str] | None = None) -> Cell:
        code = f"{self._served}_tests.limit({task.cpu_seconds}, {task.memory_bytes})\n"
        return Cell(code + (f"_tests.keep({kept})\n" if kept else ""), "<setup>")


def _uncompiled() -> str:
    return f"[{', '.join(repr(text) for _, text in _sources())}]"


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    here = Path(__file__).parent
    return tuple((name, (here / f"{name}.py").read_text(encoding="utf-8")) for name in _NAMES)


def _imported(task: Task) -> list[str]:
    """Modules that the tests import, in whatever depth."""
    if not task.test:
        return []
    words = (task.test + "\n" + task.prelude).split("\n")
    lines = [line.split() for line in words if line.split()[:1] in (["import"], ["from"])]
    return sorted({line[1].rstrip(",;").partition(".")[0] for line in lines if len(line) > 1})


def _call(function: str, *arguments: Any, module: str = "served", go_on: bool = False) -> Cell:
    # JSON's texts, numbers and lists are Python's too, and hold no character that cannot be sent.
    text = ", ".join(json.dumps(argument) for argument in arguments)
    words = f"{text}, go_on=True" if go_on else text
    code = f"import {_MODULE}.{module} as _tests\n_tests.{function}({words})"
    return Cell(code, f"<{function}>")
