"""Which changed lines the tests run, and which mutants of these lines no test notices."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio

from ...run_generated_tests.measured import FileCoverage, Worth, WorthOptions
from ...run_generated_tests.project import ROOT, Module, Project
from ...run_generated_tests.running import Plan, run_all
from ...run_generated_tests.worth import plan, read
from ..environment.side import Side
from ..evidence.evidence import Evidence
from ..evidence.ground import narrowed, search_path
from ..evidence.trees import as_it_is, text, view_of
from ..pull.pull import Pull
from ..request import PrRequest
from .beyond import ChangeCoverage, ChangedLines

_CPU_SECONDS = 10.0
"""For mutants: some two hundred of fast tests, and no more than the tests themselves often take."""


@dataclass(frozen=True, slots=True)
class _Changed:
    """A module that was changed: the first lines of its changed statements, and all lines of these."""

    module: Module
    statements: frozenset[int]
    lines: frozenset[int]


async def change_coverage(
    pull: Pull,
    head: Side,
    evidence: Evidence,
    request: PrRequest,
    tell: Callable[[str], None] = lambda said: None,
) -> ChangeCoverage:
    """Measure the tests that passed at head. What goes wrong is in the result; nothing is raised for it."""
    project, changed = await anyio.to_thread.run_sync(_changed, pull, head)
    if not changed:
        return ChangeCoverage()
    tests = [one.id for one in evidence.tests if one.head == "passed" and one.kind != "flaky"]
    if not tests:
        return ChangeCoverage(problem="No test passed at head, so there is none to measure with.")
    tell("Measuring which changed lines are run, and trying mutants of them")
    project = narrowed(project, {name.partition("::")[0] for name in tests})
    options = _options(project, request)
    wanted = _plan(project, tests, options, changed, request)
    [run] = await run_all(project, [wanted], head.open_sandbox)
    return _coverage(read(run, tests, options), changed)


def _changed(pull: Pull, head: Side) -> tuple[Project, tuple[_Changed, ...]]:
    """The project, with nothing under test but what was changed."""
    view = view_of(head)
    added = {change.path: change.added for change in pull.changes if change.added}
    found = tuple(
        one
        for module in view.sources
        if module.path in added
        for one in _statements(module, text(view.files[module.path]), added[module.path])
    )
    return replace(as_it_is(view), sources=tuple(one.module for one in found)), found


def _statements(module: Module, source: str, added: Iterable[int]) -> Iterator[_Changed]:
    """The statements that changed lines are in; none of a file that is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    numbers = set(added)
    spans = [span for span in _spans(tree) if not numbers.isdisjoint(span)]
    if spans:
        lines = frozenset(line for span in spans for line in span)
        yield _Changed(module, frozenset(span.start for span in spans), lines)


def _spans(tree: ast.Module) -> Iterator[range]:
    """The own lines of every statement, without those of the statements inside it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or _says_nothing(node):
            continue
        body: list[ast.stmt] = getattr(node, "body", [])
        last = (node.end_lineno or node.lineno) if not body else body[0].lineno - 1
        yield range(node.lineno, max(node.lineno, last) + 1)


def _says_nothing(node: ast.stmt) -> bool:
    """Docstrings and declarations: no line of them is ever run."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Global | ast.Nonlocal)


def _options(project: Project, request: PrRequest) -> WorthOptions:
    return WorthOptions(
        mutation="quick" if request.mutation else "off",
        cpu_seconds=_CPU_SECONDS,
        env={"PYTHONPATH": search_path(project), **request.env},
        test_seconds=request.test_seconds,
    )


def _plan(
    project: Project,
    tests: list[str],
    options: WorthOptions,
    changed: Iterable[_Changed],
    request: PrRequest,
) -> Plan:
    found = plan(project, tests, options)
    guest: dict[str, Any] = {
        **found.guests["worth"],
        # What no test imports has not run.
        "modules": [],
        "vacuity": False,
        "lines": {f"{ROOT}/{one.module.path}": sorted(one.lines) for one in changed},
    }
    return replace(found, guests={"worth": guest}, seconds=min(found.seconds, request.seconds))


def _coverage(worth: Worth, changed: Iterable[_Changed]) -> ChangeCoverage:
    if worth.coverage is None:
        said = worth.problems[0] if worth.problems else "The run that measures gave no answer."
        return ChangeCoverage(problem=said)
    files = tuple(_of_file(one, worth.coverage.files) for one in changed)
    mutation = worth.mutation
    if mutation is None:
        return ChangeCoverage(files, problem=next(iter(worth.problems), ""))
    clear = mutation.count("killed") + mutation.count("survived")
    return ChangeCoverage(files, mutation.survivors, clear)


def _of_file(one: _Changed, measured: Mapping[str, FileCoverage]) -> ChangedLines:
    path, found = one.module.path, measured.get(one.module.path)
    if found is None:
        return ChangedLines(path, (), tuple(sorted(one.statements)))
    ran, missed = (one.statements & set(lines) for lines in (found.executed, found.missing))
    return ChangedLines(path, tuple(sorted(ran)), tuple(sorted(missed)))
