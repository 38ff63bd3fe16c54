"""Does a test notice when what it tests is broken?

Each function is made to return other values of the same types, then, where that cannot be done or is not noticed, to
do nothing at all. A test that notices neither, whatever function is broken, proves nothing. One that notices only that
there is nothing where something was is weak, and so is one that fails only because the source breaks over
what it got from itself.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from . import data
from .forks import Forked, Forks, Outcome, Pace
from .mutants import File
from .perturb import grown, other
from .reach import Function
from .swap import Functions

_MOST_RESTARTS = 20
_SOMETHING = object()


@dataclass
class Seen:
    """What a test noticed. `proofs` are the functions whose breaking it noticed as it should, `empty`
    those that it only misses when they do nothing, `crashes` those whose breaking breaks the source.
    """

    proofs: list[str] = field(default_factory=list[str])
    empty: list[str] = field(default_factory=list[str])
    crashes: list[str] = field(default_factory=list[str])
    reached: list[str] = field(default_factory=list[str])

    @property
    def grade(self) -> str:
        """proves, weak, vacuous or unreached."""
        if self.proofs:
            return "proves"
        if self.empty or self.crashes:
            return "weak"
        return "vacuous" if self.reached else "unreached"


class Vacuity:
    """Breaks functions one after another and sees which tests notice."""

    def __init__(
        self,
        forks: Forks,
        items: Mapping[str, pytest.Item],
        paces: Mapping[str, Pace],
        functions: Functions,
        files: Sequence[File],
    ) -> None:
        self._forks = forks
        self._items = items
        self._paces = paces
        self._functions = functions
        self._files = files
        self.seen: dict[str, Seen] = {}
        self.proved: dict[str, str] = {}
        self.runs = 0

    def judge(self, reached: Mapping[Function, Sequence[str]], tests: Sequence[str]) -> None:
        """Fill `seen` for every test, and `proved` with a test for every function that has one."""
        self.seen = {test: Seen() for test in tests}
        for function, by in reached.items():
            for test in by:
                self.seen[test].reached.append(function.name)
        # A test is most likely to be about the function that the fewest tests reach.
        for function in sorted(reached, key=lambda one: len(reached[one])):
            by = reached[function]
            self._break(function, [test for test in by if not self.seen[test].proofs])
            if function.label not in self.proved and by:
                self._break(function, by, only_one=True)
        self._without_functions()

    def _unproved(self) -> list[str]:
        return [test for test, seen in self.seen.items() if not seen.proofs]

    def _break(self, function: Function, tests: Sequence[str], *, only_one: bool = False) -> None:
        """Try one kind of breakage after the other on the tests that have noticed none."""
        left = list(tests)
        changed: set[str] = set()
        for make in (_Change.other, _Change.grown, _Stuck):
            change = make(function.answers)
            outcomes = self._with_change(function, left, change, only_one=only_one)
            for test, one in outcomes.items():
                if one.touched:
                    changed.add(test)
                    self._take(function, test, one)
            if only_one and function.label in self.proved:
                return
            # Where the first way changed nothing, the others will not either.
            left = [t for t in left if t in changed and outcomes[t].status in {"passed", "skipped"}]
            if not left:
                break
        self._silence(function, [t for t in tests if t not in changed or t in left], changed)

    def _silence(self, function: Function, tests: Sequence[str], changed: set[str]) -> None:
        outcomes = self._run(tests, lambda: self._functions.silence(function.key))
        for test, one in outcomes.items():
            if test not in changed:
                self._take(function, test, one)
            elif one.status in {"check", "timeout", "crash"}:
                self.seen[test].empty.append(function.name)

    def _take(self, function: Function, test: str, one: Outcome) -> None:
        if one.status == "check":
            self.seen[test].proofs.append(function.name)
            self.proved.setdefault(function.label, test)
        elif one.status in {"crash", "timeout"}:
            self.seen[test].crashes.append(function.name)

    def _with_change(
        self, function: Function, tests: Sequence[str], change: _Change, *, only_one: bool
    ) -> dict[str, Outcome]:
        def before() -> None:
            self._functions.perturb(function.key, change)

        return self._run(tests, before, change, stop_early=only_one)

    def _without_functions(self) -> None:
        """What is no function can be tested too: data, generated methods, what other processes run."""
        left = self._unproved()
        if not left:
            return
        for name, change in data.changes(self._functions.files):
            outcomes = self._run(self._unproved(), change)
            for test, one in outcomes.items():
                if one.status == "check":
                    self.seen[test].proofs.append(name)
                elif one.status == "crash" and not self.seen[test].reached:
                    self.seen[test].crashes.append(name)
        self._on_disk([test for test in self._unproved() if self.seen[test].grade != "weak"])

    def _on_disk(self, tests: Sequence[str]) -> None:
        """For tests that start other processes, or import the source again."""
        if not tests:
            return
        kept = {file.path: file.text for file in self._files}
        try:
            for file in self._files:
                _write(file.path, gutted(file.text))
            outcomes = self._run(tests, lambda: None)
        except OSError:
            return
        finally:
            for path, text in kept.items():
                try:
                    _write(path, text)
                except OSError:
                    continue
        for test, one in outcomes.items():
            if one.status in {"check", "crash"}:
                self.seen[test].proofs.append(
                    "the source as other processes and fresh imports see it"
                )

    def _run(
        self,
        tests: Sequence[str],
        before: Callable[[], None],
        change: _Change | None = None,
        *,
        stop_early: bool = False,
    ) -> dict[str, Outcome]:
        """The outcome of every test; one that ends or hangs its process has timed out."""
        found: dict[str, Outcome] = {}
        left = list(tests)
        for _ in range(_MOST_RESTARTS):
            if not left:
                break
            self.runs += 1
            forked = self._forks.run(
                [self._items[test] for test in left],
                self._paces.__getitem__,
                before=before,
                around=lambda item: change.reset() if change else None,
                touched=lambda: change.count if change else 0,
                stop_early=stop_early,
            )
            found.update(forked.outcomes)
            if forked.ended == "done" or not forked.running:
                break
            found[forked.running] = Outcome("timeout", forked.reason, touched=1)
            left = _after(left, forked)
        return found


def _after(tests: Sequence[str], forked: Forked) -> list[str]:
    return list(tests[tests.index(forked.running) + 1 :])


class _Change:
    """Changes values and counts those that it could change.

    Where a function may return something else (`answers`), `None` is an answer like any other.
    """

    def __init__(self, how: Callable[[Any], Any], answers: bool) -> None:
        self._how = how
        self._answers = answers
        self.count = 0

    @classmethod
    def other(cls, answers: bool) -> _Change:
        """Values of the same length."""
        return cls(other, answers)

    @classmethod
    def grown(cls, answers: bool) -> _Change:
        """Values of another length or sign."""
        return cls(grown, answers)

    def __call__(self, value: Any) -> Any:
        changed = _SOMETHING if value is None and self._answers else self._how(value)
        if changed is not value:
            self.count += 1
        return changed

    def reset(self) -> None:
        """A test begins."""


class _Stuck(_Change):
    """The first value of a test, again and again."""

    def __init__(self, answers: bool) -> None:
        super().__init__(self._first, answers=False)
        self._kept: list[Any] = []

    def _first(self, value: Any) -> Any:
        if not self._kept:
            self._kept.append(value)
        first = self._kept[0]
        try:
            return copy.deepcopy(first) if first is not value else value
        except Exception:  # noqa: BLE001 - not everything can be copied
            return first

    def reset(self) -> None:
        self._kept.clear()


def gutted(text: str) -> str:
    """The source with every function doing nothing."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yields = any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in ast.walk(node))
            node.body = [ast.Return(None)]
            if yields:
                node.body.append(ast.Expr(ast.Yield(None)))
    return ast.unparse(ast.fix_missing_locations(tree))


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
