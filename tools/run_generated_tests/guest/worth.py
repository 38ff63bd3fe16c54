"""What tests are worth: which lines they reach, whether they notice that a function is broken, which mutants they kill.

It takes over the run of a session that has been collected. This process never runs a test: it forks.
"""

from __future__ import annotations

import gc
import importlib
import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from .channel import Say
from .cover import Cover, Lines
from .forks import Forked, Forks, Outcome, Pace
from .mutants import File
from .mutation import Mutation
from .reach import functions_of, reached_by
from .swap import Functions
from .trials import Trials
from .vacuity import Vacuity

_QUIET_SECONDS = 5.0
_MOST_RESCUE_SECONDS = 10.0


def plugin(options: dict[str, Any], say: Say) -> Worth:
    """The plugin. Options: `sources` (absolute paths), `modules` (their import names), `tests` (ids, None for
    all), `vacuity` (None, or the CPU seconds for it), `mutation` (None, or `cpu_seconds`, `seed`, `only` and `most`),
    `test_seconds`, and `lines` (by path, None for all): nothing but these is mutated, and of the tests only
    those that run them judge it. `known`: the lines that each test runs, by path; then coverage is not measured.
    """
    return Worth(options, say)


class Worth:
    """Measures in this order: coverage, whether tests can be repeated, vacuity, mutation."""

    def __init__(self, options: dict[str, Any], say: Say) -> None:
        self._options = options
        self._say = say
        self._spoke = time.monotonic()
        self._cover = Cover(options["sources"]) if options.get("known") is None else None
        self._items: dict[str, pytest.Item] = {}
        self._lines: Lines = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests here."""
        for name in self._options.get("modules", ()):
            _import(name)
        if self._cover is not None:
            self._cover.pause()
        wanted = self._options.get("tests")
        self._items = {
            item.nodeid: item for item in session.items if wanted is None or item.nodeid in wanted
        }
        self._files = _files(self._options["sources"])
        self._forks = Forks(session, frozenset(self._options["sources"]), self._tick)
        session.config.pluginmanager.register(self._forks)
        functions = Functions(frozenset(self._options["sources"]))
        self._trials = Trials(self._forks, self._items, functions)
        gc.collect()
        gc.freeze()  # forks share what is not written to
        tests = self._concerned(
            self._known() if self._cover is None else self._measure(self._cover)
        )
        if self._options.get("vacuity") is not None or self._options.get("mutation"):
            tests = self._repeatable(tests)
        if (seconds := self._options.get("vacuity")) is not None:
            self._vacuity(tests, seconds)
        if self._options.get("mutation"):
            self._mutation(tests, self._options["mutation"])
        self._tell("end", cpu=round(self._forks.cpu, 3))
        return True

    def _tell(self, kind: str, **fields: Any) -> None:
        self._spoke = time.monotonic()
        self._say("guest", of="worth", what=kind, **fields)

    def _tick(self) -> None:
        """Whoever watches takes silence for a hang."""
        if time.monotonic() - self._spoke > _QUIET_SECONDS:
            self._tell("tick")

    def _known(self) -> list[str]:
        """The tests of which it was said before what they run."""
        self._lines = self._options["known"]
        return list(self._items)

    def _measure(self, cover: Cover) -> list[str]:
        """Run all tests once with coverage; the ids of those that passed."""
        limit = self._options.get("test_seconds", 30.0)
        pace = Pace(limit, limit)
        began = False
        contexts: dict[str, list[str]] = {}

        def around(item: pytest.Item) -> None:
            nonlocal began
            if not began:
                cover.resume()
                began = True
            cover.switch(item.nodeid)
            contexts[item.nodeid] = _shared_fixtures(item)

        def after() -> dict[str, Any]:
            cover.pause()
            return {"lines": cover.lines(), "files": cover.files(), "shared": contexts}

        self._forks.on_fixture = cover.switch
        forked = self._forks.run(
            list(self._items.values()), lambda test: pace, around=around, after=after
        )
        self._forks.on_fixture = None
        if forked.ended != "done":
            self._tell("trouble", stage="coverage", test=forked.running, reason=forked.reason)
            return []
        self._lines = _with_shared(forked.said["lines"], forked.said["shared"])
        tests = {test: _ranges(self._lines.get(test, {})) for test in self._items}
        self._tell("coverage", files=forked.said["files"], tests=tests)
        return _passed(forked)

    def _concerned(self, passed: list[str]) -> list[str]:
        """Those that run lines of interest; the others are not looked at again."""
        wanted = self._options.get("lines")
        if wanted is None:
            return passed
        found = [test for test in passed if _meet(self._lines.get(test, {}), wanted)]
        self._items = {test: self._items[test] for test in found}
        return found

    def _repeatable(self, passed: Sequence[str]) -> list[str]:
        """Run them again, in a fork like those to come: what fails there says nothing about mutants."""
        limit = self._options.get("test_seconds", 30.0)
        pace = Pace(limit, limit)
        forked = self._forks.run([self._items[test] for test in passed], lambda test: pace)
        good = _passed(forked)
        for test in self._items:
            if test not in good:
                one = forked.outcomes.get(test) or Outcome("failed", "it did not pass here")
                self._tell("unrepeatable", test=test, detail=one.detail or one.status)
        for test in good:
            one = forked.outcomes[test]
            self._trials.seconds[test] = one.cpu
            self._trials.paces[test] = Pace.after(one.cpu, one.wall)
        return good

    def _vacuity(self, tests: Sequence[str], cpu_seconds: float) -> None:
        there = self._trials.functions
        functions = [one for file in self._files for one in functions_of(file, there)]
        reached = reached_by(functions, self._lines, tests)
        vacuity = Vacuity(self._trials, self._files, cpu_seconds)
        vacuity.judge(reached, tests)
        doubtful = [test for test in tests if vacuity.seen[test].grade == "vacuous"]
        if doubtful:
            self._rescue(doubtful, vacuity)
        for test, seen in vacuity.seen.items():
            self._tell("worth", test=test, grade=seen.grade, **seen.__dict__)
        for function, by in reached.items():
            self._tell(
                "function",
                file=function.key[0],
                line=function.key[1],
                name=function.name,
                tests=len(by),
                proved_by=vacuity.proved.get(function.label, ""),
                unproved=function in vacuity.unproved,
            )

    def _rescue(self, tests: Sequence[str], vacuity: Vacuity) -> None:
        """A relation between results (`f(a, b) == f(b, a)`) holds for what is broken evenly; mutants are not even."""
        mutation = Mutation(self._trials)
        began = self._forks.cpu
        left = list(tests)
        for one in mutation.reached(self._files, self._lines, tests):
            if not left or self._forks.cpu - began > _MOST_RESCUE_SECONDS:
                break
            for test in mutation.kills(one, [test for test in left if test in one.tests]):
                vacuity.seen[test].proofs.append(one.mutant.function)
                left.remove(test)

    def _mutation(self, tests: Sequence[str], wanted: dict[str, Any]) -> None:
        mutation = Mutation(self._trials)
        lines = self._options.get("lines")
        reached = mutation.reached(self._files, self._lines, tests, lines)
        only = wanted.get("only")
        if only is not None:
            reached = [one for one in reached if one.id in only]
        began = self._forks.cpu
        tried = mutation.try_all(
            reached,
            wanted["cpu_seconds"],
            wanted.get("seed", 0),
            partial(self._tell, "mutant"),
            wanted.get("most"),
        )
        passed = _passed(self._trials.run(tests))
        changed = [test for test in tests if test not in passed]
        self._tell(
            "mutation",
            tried=tried,
            total=len(reached),
            cpu=round(self._forks.cpu - began, 3),
            unreliable=changed,
        )


def _import(name: str) -> None:
    """Tests that import the source only when they run must find it broken too."""
    try:
        importlib.import_module(name)
    except BaseException:  # noqa: BLE001, S110 - the tests will say so themselves
        pass


def _files(paths: Sequence[str]) -> list[File]:
    found: list[File] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                found.append(File(os.path.abspath(path), file.read()))
        except (OSError, SyntaxError, ValueError):
            continue
    return found


def _meet(lines: dict[str, list[int]], wanted: dict[str, list[int]]) -> bool:
    return any(not set(numbers).isdisjoint(wanted.get(path, ())) for path, numbers in lines.items())


def _passed(forked: Forked) -> list[str]:
    return [test for test, one in forked.outcomes.items() if one.status == "passed"]


def _shared_fixtures(item: pytest.Item) -> list[str]:
    """Fixtures that are made for the first of the tests that use them, and serve the others too."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return []
    return [f"fixture {name}" for name in info.names_closure]


def _with_shared(lines: Lines, shared: dict[str, list[str]]) -> Lines:
    for test, contexts in shared.items():
        for context in contexts:
            for path, numbers in lines.get(context, {}).items():
                known = lines.setdefault(test, {}).setdefault(path, [])
                known.extend(number for number in numbers if number not in known)
    return lines


def _ranges(lines: dict[str, list[int]]) -> dict[str, list[list[int]]]:
    """Runs of consecutive lines, as first and last."""
    found: dict[str, list[list[int]]] = {}
    for path, numbers in lines.items():
        runs = found.setdefault(path, [])
        for number in sorted(set(numbers)):
            if runs and number == runs[-1][1] + 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
    return found
