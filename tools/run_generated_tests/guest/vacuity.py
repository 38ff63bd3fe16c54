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

from . import data
from .forks import Outcome
from .mutants import File
from .perturb import grown, other
from .reach import Function
from .trials import Trials

_MOST_RESTARTS = 20
_SOMETHING = object()
_ELSEWHERE = "the source as other processes and fresh imports see it"


@dataclass
class Seen:
    """What a test noticed. `proofs` are the functions whose breaking it noticed as it should, `empty`
    those that it only misses when they do nothing, `crashes` those whose breaking breaks the source,
    `untried` what there was no time to break.
    """

    proofs: list[str] = field(default_factory=list[str])
    empty: list[str] = field(default_factory=list[str])
    crashes: list[str] = field(default_factory=list[str])
    reached: list[str] = field(default_factory=list[str])
    untried: list[str] = field(default_factory=list[str])

    @property
    def grade(self) -> str:
        """proves, untried, weak, vacuous or unreached."""
        if self.proofs:
            return "proves"
        if self.untried:
            return "untried"
        if self.empty or self.crashes:
            return "weak"
        return "vacuous" if self.reached else "unreached"


class Vacuity:
    """Breaks functions one after another and sees which tests notice, for so many CPU seconds.

    `unproved` are the functions whose breaking changes no outcome: all tests that reach them were tried.
    """

    def __init__(self, trials: Trials, files: Sequence[File], cpu_seconds: float) -> None:
        self._trials = trials
        self._files = files
        self._end = trials.cpu + cpu_seconds
        self.seen: dict[str, Seen] = {}
        self.proved: dict[str, str] = {}
        self.unproved: list[Function] = []
        self._missed: set[str] = set()

    def judge(self, reached: Mapping[Function, Sequence[str]], tests: Sequence[str]) -> None:
        """Fill `seen` for every test, and `proved` with a test for every function that has one."""
        self.seen = {test: Seen() for test in tests}
        for function, by in reached.items():
            for test in by:
                self.seen[test].reached.append(function.name)
        # A test is most likely to be about the function that the fewest tests reach.
        order = sorted(reached, key=lambda one: len(reached[one]))
        for function in order:
            self._break(function, [test for test in reached[function] if not self._proves(test)])
        self._without_functions()
        for function in order:
            if function.label not in self.proved and reached[function]:
                whole = self._break(function, reached[function], only_one=True)
                if whole and function.label not in self._missed:
                    self.unproved.append(function)

    def _proves(self, test: str) -> bool:
        return bool(self.seen[test].proofs)

    def _unproved(self) -> list[str]:
        return [test for test, seen in self.seen.items() if not seen.proofs]

    def _break(self, function: Function, tests: Sequence[str], *, only_one: bool = False) -> bool:
        """Try one kind of breakage after the other on the tests that have noticed none; whether there was
        time for all of it.
        """
        left = list(tests)
        changed: set[str] = set()
        whole = True
        for make in (_Change.other, _Change.grown, _Stuck):
            change = make(function.answers)
            outcomes, done = self._with_change(function, left, change, only_one=only_one)
            whole = whole and done
            for test, one in outcomes.items():
                if one.touched:
                    changed.add(test)
                    self._take(function, test, one)
            if only_one and function.label in self.proved:
                return whole
            # Where the first way changed nothing, the others will not either.
            left = [t for t in left if t in changed and _unmoved(outcomes.get(t))]
            if not left:
                break
        silenced = [t for t in tests if t not in changed or t in left]
        return self._silence(function, silenced, changed) and whole

    def _silence(self, function: Function, tests: Sequence[str], changed: set[str]) -> bool:
        def before() -> None:
            self._trials.functions.silence(function.key)

        outcomes, done = self._run(function.name, tests, before)
        for test, one in outcomes.items():
            if test not in changed:
                self._take(function, test, one)
            elif one.status in {"check", "timeout", "crash"}:
                self._missed.add(function.label)
                self.seen[test].empty.append(function.name)
        return done

    def _take(self, function: Function, test: str, one: Outcome) -> None:
        if one.status in {"check", "timeout", "crash"}:
            self._missed.add(function.label)
        if one.status == "check":
            self.seen[test].proofs.append(function.name)
            self.proved.setdefault(function.label, test)
        elif one.status in {"crash", "timeout"}:
            self.seen[test].crashes.append(function.name)

    def _with_change(
        self, function: Function, tests: Sequence[str], change: _Change, *, only_one: bool
    ) -> tuple[dict[str, Outcome], bool]:
        def before() -> None:
            self._trials.functions.perturb(function.key, change)

        return self._run(function.name, tests, before, change, stop_early=only_one)

    def _without_functions(self) -> None:
        """What is no function can be tested too: data, generated methods, what other processes run."""
        left = self._unproved()
        if not left:
            return
        for name, change in data.changes(self._trials.functions.files):
            outcomes, _ = self._run(name, self._unproved(), change)
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
            outcomes, _ = self._run(_ELSEWHERE, tests, lambda: None)
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
                self.seen[test].proofs.append(_ELSEWHERE)

    def _run(
        self,
        what: str,
        tests: Sequence[str],
        before: Callable[[], None],
        change: _Change | None = None,
        *,
        stop_early: bool = False,
    ) -> tuple[dict[str, Outcome], bool]:
        """The outcome of every test, and whether there was time for all of them; one that ends or hangs its
        process has timed out. Those that were not run are `untried` where `what` is broken.
        """
        found: dict[str, Outcome] = {}
        left = list(tests)
        for _ in range(_MOST_RESTARTS):
            now = self._affordable(left)
            if not now:
                break
            forked = self._trials.run(
                now,
                before,
                around=lambda item: change.reset() if change else None,
                touched=lambda: change.count if change else 0,
                stop_early=stop_early,
            )
            found.update(forked.outcomes)
            if forked.ended == "done" or not forked.running:
                left = [] if stop_early and forked.failed else left[len(now) :]
            else:
                found[forked.running] = Outcome("timeout", forked.reason, touched=1)
                left = left[left.index(forked.running) + 1 :]
        for test in left:
            self.seen[test].untried.append(what)
        return found, not left

    def _affordable(self, tests: Sequence[str]) -> list[str]:
        """As many of them, and one at least, as can be expected to end in the time that is left."""
        left = self._end - self._trials.cpu
        chosen: list[str] = []
        for test in tests if left > 0 else ():
            left -= self._trials.seconds[test]
            if chosen and left < 0:
                break
            chosen.append(test)
        return chosen


def _unmoved(one: Outcome | None) -> bool:
    return one is not None and one.status in {"passed", "skipped"}


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
