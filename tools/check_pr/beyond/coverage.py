"""Which changed lines the tests run, and which mutants of these lines no test notices."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.measured import Worth, WorthOptions
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

Tell = Callable[[str], None]

_NAME = "reaching"
_GUEST = Path(__file__).parent / "guest" / f"{_NAME}.py"
_MOST_MUTANTS = 60
"""Enough to see whether changed lines are checked at all; more is what `run_generated_tests` is for."""
_CPU_SECONDS = (1.0, 10.0)
_SHARE = 0.25
"""What mutants may take, of what all of head's tests did: there are always some, and never minutes of them."""

_FEW_SECONDS = 5.0
# One that fails runs lines as well, up to where it fails.
_ENDED = frozenset({"passed", "failed", "xfailed", "xpassed"})
_EXCLUDED = re.compile(r"#\s*pragma[:\s]?\s*no\s*cover", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A module that was changed: the first lines of its changed statements, and all lines of these."""

    module: Module
    statements: frozenset[int]
    lines: frozenset[int]


@dataclass(slots=True)
class _Found:
    """What a run that measures told: lines by path, and the tests that ran any of them."""

    lines: dict[str, set[int]] = field(default_factory=dict[str, "set[int]"])
    tests: list[str] = field(default_factory=list[str])
    problem: str = ""


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
        self._found: _Found | None = None
        self._budget = _CPU_SECONDS[1]

    async def lines(self, tests: Mapping[str, float], opened: OpenSandbox) -> None:
        """See which changed statements the tests run, given with the seconds that each took. May be done while
        others are run, in sandboxes of head.
        """
        project, changed = await self._changes()
        least, most = _CPU_SECONDS
        self._budget = min(most, max(least, _SHARE * sum(tests.values())))
        if changed and tests:
            self._found = await self._lines(project, changed, tests, opened)

    async def result(self, evidence: Evidence) -> ChangeCoverage:
        """All of it; what was not measured before is measured now."""
        project, changed = await self._changes()
        if not changed:
            return ChangeCoverage()
        passed = {one.id for one in evidence.tests if one.kind != "flaky" and one.head == "passed"}
        if self._found is None:
            tests = [one.id for one in evidence.tests if one.kind != "flaky" and one.head in _ENDED]
            if not tests:
                return ChangeCoverage(
                    problem="No test ran at head, so there is none to measure with."
                )
            self._tell("Measuring which changed lines are run")
            await self.lines(dict.fromkeys(tests, 0.0), self._head.open_sandbox)
        found = self._found or _Found()
        if found.problem:
            return ChangeCoverage(problem=found.problem)
        coverage = ChangeCoverage(tuple(_of_file(one, found) for one in changed))
        concerned = [name for name in found.tests if name in passed]
        if not concerned or not self._request.mutation:
            return coverage
        self._tell(f"Trying mutants of the changed lines on {len(concerned)} tests")
        return await self._mutants(project, changed, concerned, coverage)

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
    ) -> _Found:
        wanted = {f"{ROOT}/{one.module.path}": sorted(one.statements) for one in changed}
        common = Plan(
            env=self._env(project),
            seconds=self._request.seconds,
            test_seconds=self._request.test_seconds,
            probes=False,
            guests={_NAME: {"early": True, "lines": wanted}},
            modules={_NAME: _guest()},
        )
        found = _Found()
        jobs = [
            (_narrowed(project, part), replace(common, ids=tuple(part))) for part in _parted(tests)
        ]
        for run in await run_mixed(jobs, opened):
            for record in run.guests.get(_NAME, ()):
                for path, numbers in record["lines"].items():
                    found.lines.setdefault(path.removeprefix(f"{ROOT}/"), set()).update(numbers)
                found.tests += [record["test"]] if record["test"] else []
            if not run.complete and not found.problem:
                said = next(iter(run.problems), "The run gave no answer.")
                found.problem = f"The changed lines that run could not be measured: {said}"
        return found

    def _env(self, project: Project) -> Mapping[str, str]:
        return {"PYTHONPATH": search_path(project), **self._request.env}

    async def _mutants(
        self,
        project: Project,
        changed: Sequence[_Changed],
        tests: Sequence[str],
        found: ChangeCoverage,
    ) -> ChangeCoverage:
        """With what the tests that run changed lines make of mutants of these."""
        options = WorthOptions(
            mutation="quick",
            cpu_seconds=self._budget,
            env=self._env(project),
            test_seconds=self._request.test_seconds,
        )
        narrow = _narrowed(project, tests)
        common = plan(narrow, tests, options)
        guest: dict[str, Any] = {
            **common.guests["worth"],
            # What no test imports has not run.
            "modules": [],
            "vacuity": None,
            "lines": {f"{ROOT}/{one.module.path}": sorted(one.lines) for one in changed},
        }
        guest["mutation"] = {**guest["mutation"], "most": _MOST_MUTANTS}
        seconds = min(common.seconds, self._request.seconds)
        job = replace(common, guests={"worth": guest}, seconds=seconds)
        [run] = await run_mixed([(narrow, job)], self._head.open_sandbox)
        worth = read(run, tests, options)
        if worth.mutation is None:
            return replace(found, problem=f"No mutants were tried: {_trouble(worth)}")
        clear = worth.mutation.count("killed") + worth.mutation.count("survived")
        return replace(found, survivors=worth.mutation.survivors, mutants=clear)


@cache
def _guest() -> str:
    return _GUEST.read_text()


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
    numbers = set(added) - set(_left_out(tree, source.splitlines()))
    spans = [span for _, span in statements(tree) if not numbers.isdisjoint(span)]
    if spans:
        lines = frozenset(line for span in spans for line in span)
        yield _Changed(module, frozenset(span.start for span in spans), lines)


def _left_out(tree: ast.Module, lines: Sequence[str]) -> Iterator[int]:
    """Lines that are there for type checkers alone, or that the project does not want to be measured."""
    for node, span in statements(tree):
        typing = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if typing or any(_EXCLUDED.search(lines[one - 1]) for one in span):
            orelse: list[ast.stmt] = getattr(node, "orelse", [])
            last = orelse[0].lineno - 1 if orelse else node.end_lineno or span.stop
            yield from range(node.lineno, last + 1)


def _of_file(one: _Changed, found: _Found) -> ChangedLines:
    ran = one.statements & found.lines.get(one.module.path, set())
    return ChangedLines(one.module.path, tuple(sorted(ran)), tuple(sorted(one.statements - ran)))
