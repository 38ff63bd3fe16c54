"""Which changed lines the tests run, and which mutants of these lines no test notices."""

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.measured import Coverage, Worth, WorthOptions
from ...run_generated_tests.project import ROOT, Module, Project
from ...run_generated_tests.running import Plan, run_mixed
from ...run_generated_tests.worth import plan, read
from ..environment.side import Side
from ..evidence.evidence import Evidence
from ..evidence.ground import narrowed, search_path
from ..evidence.statements import statements
from ..evidence.trees import as_it_is, text, view_of
from ..pull.pull import Pull
from ..request import PrRequest
from .beyond import ChangeCoverage, ChangedLines

_CPU_SECONDS = 10.0
_MOST_MUTANTS = 60
"""Enough to see whether changed lines are checked at all; more is what `run_generated_tests` is for."""

_FEW_TESTS = 40
# One that fails runs lines as well, up to where it fails.
_ENDED = frozenset({"passed", "failed", "xfailed", "xpassed"})


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
    """Measure the tests that came to an end at head; those that passed try mutants.

    What goes wrong is in the result; nothing is raised for it.
    """
    project, changed = await anyio.to_thread.run_sync(_changed, pull, head)
    if not changed:
        return ChangeCoverage()
    steady = [one for one in evidence.tests if one.kind != "flaky"]
    tests = [one.id for one in steady if one.head in _ENDED]
    if not tests:
        return ChangeCoverage(problem="No test ran at head, so there is none to measure with.")
    tell("Measuring which changed lines are run")
    measuring = _Measuring(project, changed, request, head.open_sandbox)
    found = await measuring.lines(tests)
    if found.problem or not request.mutation:
        return found
    passed = {one.id for one in steady if one.head == "passed"}
    concerned = [name for name in measuring.concerned if name in passed]
    if not concerned:
        return found
    tell(f"Trying mutants of the changed lines on {len(concerned)} tests")
    return await measuring.mutants(concerned, found)


class _Measuring:
    """The runs that measure. They begin with head's own configuration and conftest files: nothing is judged."""

    def __init__(
        self,
        project: Project,
        changed: Sequence[_Changed],
        request: PrRequest,
        opened: OpenSandbox,
    ) -> None:
        self._project = project
        self._changed = changed
        self._request = request
        self._opened = opened
        self.concerned: list[str] = []

    async def lines(self, tests: Sequence[str]) -> ChangeCoverage:
        """Changed statements that any of the tests runs, and the others; fills `concerned`."""
        parts = _parted(tests)
        wanted = [self._job(part, "off") for part in parts]
        runs = await run_mixed([(project, job) for project, job, _ in wanted], self._opened)
        read_ = [
            read(run, part, job[2]) for run, part, job in zip(runs, parts, wanted, strict=True)
        ]
        blind = next((one for one in read_ if one.coverage is None), None)
        if blind is not None:
            return ChangeCoverage(problem=_trouble(blind))
        measured = [one.coverage for one in read_ if one.coverage is not None]
        self.concerned = [
            test for one in measured for test in one.per_test if self._meets(one, test)
        ]
        return ChangeCoverage(tuple(_of_file(one, measured) for one in self._changed))

    async def mutants(self, tests: Sequence[str], found: ChangeCoverage) -> ChangeCoverage:
        """With what the tests that run changed lines make of mutants of these."""
        project, job, options = self._job(tests, "quick")
        [run] = await run_mixed([(project, job)], self._opened)
        worth = read(run, tests, options)
        if worth.mutation is None:
            return replace(found, problem=f"No mutants were tried: {_trouble(worth)}")
        clear = worth.mutation.count("killed") + worth.mutation.count("survived")
        return replace(found, survivors=worth.mutation.survivors, mutants=clear)

    def _meets(self, coverage: Coverage, test: str) -> bool:
        """Whether a test itself runs changed lines."""
        ran = coverage.per_test[test]
        return any(
            first <= line <= last
            for one in self._changed
            for first, last in ran.get(one.module.path, ())
            for line in one.statements
        )

    def _job(
        self, tests: Sequence[str], mutation: Literal["off", "quick"]
    ) -> tuple[Project, Plan, WorthOptions]:
        project = narrowed(self._project, {name.partition("::")[0] for name in tests})
        options = WorthOptions(
            mutation=mutation,
            cpu_seconds=_CPU_SECONDS,
            env={"PYTHONPATH": search_path(project), **self._request.env},
            test_seconds=self._request.test_seconds,
        )
        common = plan(project, tests, options)
        guest: dict[str, Any] = {
            **common.guests["worth"],
            # What no test imports has not run.
            "modules": [],
            "vacuity": None,
            "lines": {f"{ROOT}/{one.module.path}": sorted(one.lines) for one in self._changed},
        }
        if guest["mutation"]:
            guest["mutation"] = {**guest["mutation"], "most": _MOST_MUTANTS}
        seconds = min(common.seconds, self._request.seconds)
        return project, replace(common, guests={"worth": guest}, seconds=seconds), options


def _parted(tests: Sequence[str]) -> list[list[str]]:
    """Tests for two processes, file by file; for one where they are few."""
    by_file: dict[str, list[str]] = {}
    for name in tests:
        by_file.setdefault(name.partition("::")[0], []).append(name)
    if len(tests) < _FEW_TESTS or len(by_file) < 2:
        return [list(tests)]
    parts: list[list[str]] = [[], []]
    for names in sorted(by_file.values(), key=len, reverse=True):
        min(parts, key=len).extend(names)
    return parts


def _trouble(worth: Worth) -> str:
    return next(iter(worth.problems), "The run that measures gave no answer.")


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
    spans = [span for _, span in statements(tree) if not numbers.isdisjoint(span)]
    if spans:
        lines = frozenset(line for span in spans for line in span)
        yield _Changed(module, frozenset(span.start for span in spans), lines)


def _of_file(one: _Changed, measured: Iterable[Coverage]) -> ChangedLines:
    path = one.module.path
    files = [coverage.files[path] for coverage in measured if path in coverage.files]
    if not files:
        return ChangedLines(path, (), tuple(sorted(one.statements)))
    ran = one.statements & {line for file in files for line in file.executed}
    missed = one.statements & {line for file in files for line in file.missing} - ran
    return ChangedLines(path, tuple(sorted(ran)), tuple(sorted(missed)))
