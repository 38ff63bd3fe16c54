"""Which changed lines the tests run, and which mutants of these lines no test notices."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.compiling import Compiled
from ...run_generated_tests.measured import WorthOptions
from ...run_generated_tests.project import Module, Project
from ...run_generated_tests.running import Plan, run_mixed
from ...run_generated_tests.suite import parsed
from ..environment.side import Side
from ..evidence.evidence import Evidence
from ..evidence.ground import narrowed, search_path
from ..evidence.runs import Told
from ..evidence.statements import statements
from ..evidence.trees import as_it_is, text, view_of
from ..pull.pull import Pull
from ..request import PrRequest
from . import reaching
from .beyond import ChangeCoverage, ChangedLines
from .mutants import try_mutants
from .reaching import Reached

Tell = Callable[[str], None]

_CPU_SECONDS = (1.0, 10.0)
_SHARE = 0.25
"""What mutants may take, of what all of head's tests did: there are always some, and never minutes of them."""

_FEW_SECONDS = 5.0
# One that fails runs lines as well, up to where it fails.
_ENDED = frozenset({"passed", "failed", "xfailed", "xpassed"})
_MAY_RUN = _ENDED | {"error"}
_EXCLUDED = re.compile(r"#\s*pragma[:\s]?\s*no\s*cover", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A module that was changed: the own lines of its changed statements, by the first of them."""

    module: Module
    statements: Mapping[int, range]


async def change_coverage(
    pull: Pull, head: Side, evidence: Evidence, request: PrRequest, tell: Tell = lambda said: None
) -> ChangeCoverage:
    """Measure the tests that came to an end at head; those that passed try mutants.

    What goes wrong is in the result; nothing is raised for it.
    """
    return await Measuring(pull, head, request, tell).result(evidence)


class Measuring:
    """The runs that measure. They begin with head's own configuration and conftest files: nothing is judged."""

    def __init__(self, pull: Pull, head: Side, request: PrRequest, tell: Tell) -> None:
        self._pull = pull
        self._head = head
        self._request = request
        self._tell = tell
        self._read: tuple[Project, tuple[_Changed, ...]] | None = None
        self._found: Reached | None = None
        self._coverage: ChangeCoverage | None = None
        self._judges = frozenset[str]()
        self._budget = _CPU_SECONDS[1]
        self._compiled = Compiled()
        self._seconds: Mapping[str, float] = {}

    async def looking(self) -> Mapping[str, Mapping[str, Any]]:
        """For the `guests` of a run of head as head wants it to be run; with `reaching.modules` it looks by the way."""
        _, changed = await self._changes()
        return _looking(changed) if changed else {}

    async def beside(self, told: Told, opened: OpenSandbox, compiled: Compiled) -> None:
        """Measure while tests are run again, in sandboxes of head, what is known of the tests by now."""
        self._compiled = compiled
        tests = told.results
        ended = {name: one.seconds for name, one in tests.items() if one.outcome in _MAY_RUN}
        passed = [name for name in ended if tests[name].outcome == "passed"]
        found = None
        if told.reached and told.whole:
            found = Reached()
            found.add(told.reached)
        await self._measure(ended, passed, opened, found)

    async def _measure(
        self,
        tests: Mapping[str, float],
        passed: Sequence[str],
        opened: OpenSandbox,
        found: Reached | None = None,
    ) -> None:
        """See which changed statements the tests run, given with the seconds that each took; try mutants."""
        project, changed = await self._changes()
        least, most = _CPU_SECONDS
        self._seconds = tests
        self._budget = min(most, max(least, _SHARE * sum(tests.values())))
        if changed and tests:
            self._found = found or await self._lines(project, changed, tests, opened)
            self._coverage = await self._judged(project, changed, passed, self._found, opened)

    async def result(self, evidence: Evidence) -> ChangeCoverage:
        """All of it; what was not measured before is measured now."""
        project, changed = await self._changes()
        if not changed:
            return ChangeCoverage()
        steady = {one.id: one.head for one in evidence.tests if one.kind != "flaky"}
        passed = [name for name, outcome in steady.items() if outcome == "passed"]
        if self._coverage is None:
            tests = [name for name, outcome in steady.items() if outcome in _ENDED]
            if not tests:
                return ChangeCoverage(
                    problem="No test ran at head, so there is none to measure with."
                )
            self._tell("Measuring which changed lines are run")
            await self._measure(dict.fromkeys(tests, 0.0), passed, self._head.open_sandbox)
        elif not self._judges <= set(passed):
            # What they said of mutants may have been chance.
            found = self._found or Reached()
            opened = self._head.open_sandbox
            self._coverage = await self._judged(project, changed, passed, found, opened)
        return self._coverage or ChangeCoverage()

    async def _judged(
        self,
        project: Project,
        changed: Sequence[_Changed],
        passed: Iterable[str],
        found: Reached,
        opened: OpenSandbox,
    ) -> ChangeCoverage:
        """Which of the changed lines were run, and which mutants the tests that passed do not notice."""
        if found.problem:
            return ChangeCoverage(problem=found.problem)
        known = [one for one in changed if one.module.path not in found.unmarked]
        coverage = ChangeCoverage(tuple(_of_file(one, found) for one in known))
        if found.unmarked:
            names = ", ".join(sorted(found.unmarked))
            why = f"Which lines of {names} run is not known: pytest loads them in its own way."
            coverage = replace(coverage, problem=why)
        concerned = [name for name in passed if name in found.tests]
        if not concerned or not self._request.mutation:
            return coverage
        tests, lines = self._affordable(changed, found, concerned)
        if not lines:
            why = "No mutants were tried: the tests that run the changed lines take too long for that."
            return replace(coverage, problem=why)
        self._judges = frozenset(tests)
        self._tell(f"Trying mutants of the changed lines on {len(tests)} tests")
        options = WorthOptions(
            mutation="quick",
            cpu_seconds=self._budget,
            env=self._env(project),
            test_seconds=self._request.test_seconds,
        )
        narrow = _narrowed(project, tests)
        most = self._request.seconds
        tried = await try_mutants(narrow, tests, lines, options, self._compiled, most, opened)
        survivors, problem = (
            tried.survivors,
            " ".join(filter(None, [coverage.problem, tried.problem])),
        )
        return replace(coverage, survivors=survivors, mutants=tried.clear, problem=problem)

    def _affordable(
        self, changed: Sequence[_Changed], found: Reached, concerned: Sequence[str]
    ) -> tuple[dict[str, dict[str, list[int]]], dict[str, set[int]]]:
        """The quickest tests, with the lines that each runs, and the lines that no other test runs: a mutant that
        a slow one might notice is not tried without it.
        """
        spent = 0.0
        tests: dict[str, dict[str, list[int]]] = {}
        slow: list[str] = []
        for name in sorted(concerned, key=lambda one: self._seconds.get(one, 0.0)):
            spent += self._seconds.get(name, 0.0)
            if spent > self._budget:
                slow.append(name)
            else:
                tests[name] = _of_statements(changed, found.tests[name])
        lines = _of_statements(changed, found.lines)
        for name in slow:
            for path, numbers in _of_statements(changed, found.tests[name]).items():
                lines[path] = [line for line in lines[path] if line not in numbers]
        return tests, {path: set(numbers) for path, numbers in lines.items() if numbers}

    async def _changes(self) -> tuple[Project, tuple[_Changed, ...]]:
        if self._read is None:
            self._read = await anyio.to_thread.run_sync(_changed, self._pull, self._head)
        return self._read

    async def _lines(
        self,
        project: Project,
        changed: Sequence[_Changed],
        tests: Mapping[str, float],
        opened: OpenSandbox,
    ) -> Reached:
        common = Plan(
            env=self._env(project),
            seconds=self._request.seconds,
            test_seconds=self._request.test_seconds,
            probes=False,
            guests=_looking(changed),
            modules=reaching.modules(),
        )
        found = Reached()
        jobs = [
            (_narrowed(project, part), replace(common, ids=tuple(part))) for part in _parted(tests)
        ]
        for run in await run_mixed(jobs, opened):
            found.add(run.guests.get(reaching.NAME, ()))
            if not run.complete and not found.problem:
                said = next(iter(run.problems), "The run gave no answer.")
                found.problem = f"The changed lines that run could not be measured: {said}"
        return found

    def _env(self, project: Project) -> Mapping[str, str]:
        return {"PYTHONPATH": search_path(project), **self._request.env}


def _looking(changed: Iterable[_Changed]) -> Mapping[str, Mapping[str, Any]]:
    return reaching.guests({one.module.path: one.statements for one in changed})


def _narrowed(project: Project, tests: Iterable[str]) -> Project:
    return narrowed(project, {name.partition("::")[0] for name in tests})


def _parted(tests: Mapping[str, float]) -> list[list[str]]:
    """Tests for two processes, file by file; for one where that is done as soon."""
    by_file: dict[str, list[str]] = {}
    for name in tests:
        by_file.setdefault(name.partition("::")[0], []).append(name)
    if sum(tests.values()) < _FEW_SECONDS or len(by_file) < 2:
        return [list(tests)]
    parts: tuple[list[str], list[str]] = ([], [])
    spent = [0.0, 0.0]
    seconds = {file: sum(tests[name] for name in names) for file, names in by_file.items()}
    for file in sorted(by_file, key=seconds.__getitem__, reverse=True):
        least = spent.index(min(spent))
        parts[least].extend(by_file[file])
        spent[least] += seconds[file]
    return [part for part in parts if part]


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
    tree = parsed(source)
    if tree is None:
        return
    numbers = set(added) - set(_left_out(tree, source.splitlines()))
    spans = [span for _, span in statements(tree) if not numbers.isdisjoint(span)]
    if spans:
        yield _Changed(module, {span.start: span for span in spans})


def _left_out(tree: ast.Module, lines: Sequence[str]) -> Iterator[int]:
    """Lines that are there for type checkers alone, or that the project does not want to be measured."""
    for node, span in statements(tree):
        typing = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if typing or any(_EXCLUDED.search(lines[one - 1]) for one in span):
            orelse: list[ast.stmt] = getattr(node, "orelse", [])
            last = orelse[0].lineno - 1 if orelse else node.end_lineno or span.stop
            yield from range(node.lineno, last + 1)


def _of_file(one: _Changed, found: Reached) -> ChangedLines:
    ran = one.statements.keys() & found.lines.get(one.module.path, set())
    missing = one.statements.keys() - ran
    return ChangedLines(one.module.path, tuple(sorted(ran)), tuple(sorted(missing)))


def _of_statements(
    changed: Iterable[_Changed], firsts: Mapping[str, Iterable[int]]
) -> dict[str, list[int]]:
    """All lines of the statements of which the first are given."""
    spans = {one.module.path: one.statements for one in changed}
    return {
        path: [line for first in numbers for line in spans[path][first]]
        for path, numbers in firsts.items()
        if path in spans
    }
