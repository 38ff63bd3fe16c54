"""Every test with its outcomes on both sides, made into one line of evidence."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import get_args

from ...run_generated_tests.events import Raised
from ...run_generated_tests.outcome import Outcome
from ...run_generated_tests.suite import Uncollected, parsed, uncollected
from ..words import Kind
from .evidence import TestEvidence, function_of
from .ground import Ground
from .kinds import BAD, GOOD, Seen, classify
from .reruns import Again, Where, disagree
from .runs import Told
from .trees import View, text

_FIRST: tuple[Kind, ...] = (
    "pass_to_fail",
    "new_and_fails",
    "unknown",
    "flaky",
    "newly_skipped",
    "removed",
)
_SIDES: tuple[Where, ...] = get_args(Where)
_PLAIN: tuple[Where, ...] = ("base", "head")
_MISSING = "ModuleNotFoundError"


@dataclass(slots=True)
class Ran:
    """What the tests of all trees came to. `own`: tests that count with head's own conftest files; `own_at_base`:
    those of them that are collected with these on base's code too.
    """

    base: Told
    base_with_head: Told
    head: Told
    head_with_base: Told
    own: set[str] = field(default_factory=set[str])
    own_at_base: set[str] = field(default_factory=set[str])

    def of(self, where: Where) -> Told:
        """By its name."""
        return getattr(self, where)


class Table:
    """The tests of both sides by their id at head."""

    def __init__(self, ground: Ground, ran: Ran) -> None:
        self._ground = ground
        self._ran = ran
        self._again = Again()
        self._written = set(_written(ground, ran))
        self._at_base = {ground.at_head(name) for name in ran.base.ids | ran.base.silent}
        names = self._at_base | ran.head.ids | ran.head.silent | self._written
        # A file stands for its tests only where no side knows them.
        known = {name.partition("::")[0] for name in names if "::" in name}
        self.names = sorted(names - known)
        self._changed_head = set(ground.selection.changed_head)
        self._changed_base = set(ground.selection.changed_base)
        self._back = frozenset(map(function_of, ran.head_with_base.ids))

    def with_reruns(self, again: Again) -> None:
        """What was run again counts from now on."""
        self._again = again

    def test(self, name: str) -> TestEvidence:
        """One test."""
        seen = self.seen(name)
        kind, why = classify(seen)
        file, line = self._place(name)
        return TestEvidence(
            id=name,
            kind=kind,
            base=seen.base,
            base_with_head=seen.base_with_head,
            head=seen.head,
            head_with_base=seen.head_with_base,
            raised=self._raised(name, seen),
            why=why or self._own_why(name),
            outcomes=self._outcomes(name),
            file=file,
            line=line,
        )

    def every(self) -> Iterator[TestEvidence]:
        """Each test once, so that what is counted of them adds up."""
        tests = [self.test(name) for name in self.names]
        fresh: dict[str, list[str]] = {}
        for test in tests:
            if test.kind == "fail_to_pass_strong" and test.base is None and "[" in test.id:
                fresh.setdefault(function_of(test.id), []).append(test.id)
        for test in tests:
            others = fresh.get(function_of(test.id), ())
            parametrised = test.kind == "removed" and "[" in test.id
            yield replace(test, instead=tuple(others)) if parametrised and others else test

    def id_at(self, where: Where, name: str) -> str:
        """A test's id in one of the trees."""
        return self._ground.at_base(name) if where in {"base", "head_with_base"} else name

    def seen(self, name: str) -> Seen:
        """What is known of a test."""
        file, at_base = name.partition("::")[0], name in self._at_base
        old = self._ground.at_base(name)
        seen = Seen(
            base=self._ran.base.outcome(old) if at_base else None,
            base_with_head=self._base_with_head(name, at_base=at_base),
            head=self._ran.head.outcome(name),
            head_with_base=self._head_with_base(old, at_base=at_base),
            at_base=at_base,
            at_head=self._is_at_head(name, file, at_base=at_base),
            varies=any(self._varies(where, name) for where in _SIDES),
            written=name in self._written,
            in_code=file in self._ground.head.examples,
        )
        return replace(seen, doubt=self._doubt(name, seen))

    def _base_with_head(self, name: str, *, at_base: bool) -> Outcome | None:
        if name.partition("::")[0] in self._changed_head:
            return self._ran.base_with_head.outcome(name)
        return None if at_base else self._ran.base.outcome(self._ground.at_base(name))

    def _head_with_base(self, old: str, *, at_base: bool) -> Outcome | None:
        if at_base and old.partition("::")[0] in self._changed_base:
            return self._ran.head_with_base.outcome(old)
        return None

    def _is_at_head(self, name: str, file: str, *, at_base: bool) -> bool:
        head = self._ran.head
        if name in head.ids or name in head.silent:
            return True
        gone = file in head.silent or (not head.whole and file in self._ground.head.tests)
        return at_base and gone

    def _doubt(self, name: str, seen: Seen) -> str:
        """Why an outcome is missing that is needed."""
        for where in _PLAIN:
            told, there = self._ran.of(where), self.id_at(where, name)
            missing = told.outcome(there) is None and not told.whole
            if there in told.unknown or missing and self._was_to_run(where, there):
                return told.unknown.get(there) or _trouble(told)
        mixed = self._ran.base_with_head
        if not seen.at_base and seen.head in GOOD and name in mixed.unknown:
            return mixed.unknown[name]
        if not seen.at_base and seen.base_with_head is None and not mixed.whole:
            return _trouble(mixed)
        if self._is_nowhere(name, seen):
            return "Base has it, and on head's code it is not found even in base's file"
        if any(self._is_silent(where, self.id_at(where, name)) for where in _SIDES):
            return "It was to be run again, and none of these runs came to its end"
        if seen.head in BAD and seen.base not in BAD:
            return _not_installed(self._ran.head.raised(name), self._ground.head)
        return ""

    def _is_nowhere(self, name: str, seen: Seen) -> bool:
        """Whether base's version of a test that head took back was to be run on head, and is not collected."""
        old, back = self._ground.at_base(name), self._ran.head_with_base
        if seen.at_head or seen.base not in GOOD or not back.whole:
            return False
        function = function_of(old)
        path, _, rest = function.partition("::")
        if path not in self._changed_base or path in back.silent:
            return False
        if function in self._ground.selection.same or rest not in _defined(self._ground.base, path):
            return False
        return function not in self._back

    def _is_silent(self, where: Where, name: str) -> bool:
        return (where, name) in self._again.silent and not self._again.of(where, name)

    def _was_to_run(self, where: Where, name: str) -> bool:
        selection = self._ground.selection
        return name.partition("::")[0] in (selection.base if where == "base" else selection.head)

    def _varies(self, where: Where, name: str) -> bool:
        there = self.id_at(where, name)
        reruns = self._again.of(where, there)
        return bool(reruns) and disagree(self._ran.of(where).outcome(there), reruns)

    def _outcomes(self, name: str) -> dict[str, tuple[Outcome, ...]]:
        found: dict[str, tuple[Outcome, ...]] = {}
        for where in _SIDES:
            there = self.id_at(where, name)
            first = self._ran.of(where).outcome(there)
            if reruns := self._again.of(where, there):
                found[where] = (*([first] if first is not None else []), *reruns)
        return found

    def _raised(self, name: str, seen: Seen) -> Raised | None:
        if seen.head in BAD:
            return self._ran.head.raised(name)
        if seen.head_with_base in BAD:
            return self._ran.head_with_base.raised(self._ground.at_base(name))
        if name.partition("::")[0] in self._changed_head and seen.base_with_head in BAD:
            return self._ran.base_with_head.raised(name)
        return self._ran.base.raised(self._ground.at_base(name))

    def _own_why(self, name: str) -> str:
        if name not in self._ran.own:
            return ""
        return (
            "It counts with head's conftest.py and configuration: with base's it cannot be set up"
        )

    def _place(self, name: str) -> tuple[str, int]:
        item = self._ran.head.items.get(name)
        if item is None:
            item = self._ran.base.items.get(self._ground.at_base(name))
        return name.partition("::")[0], item.line if item else 0


def _trouble(told: Told) -> str:
    return next(iter([*told.problems, *told.rigged]), "It was not run")


def _written(ground: Ground, ran: Ran) -> Iterator[str]:
    """Tests that stand in test files of head and are not collected there: those that base's were, and in changed
    files those that never would be.
    """
    head = ran.head
    found = frozenset(map(function_of, head.ids))
    yield from _vanished(ground, ran, found)
    for path in ground.selection.changed_head:
        if path in head.silent or not path.endswith(".py") or not head.whole:
            continue
        known = {one.name for one in _uncollected(ground.base, ground.at_base(path))}
        for name in {one.name for one in _uncollected(ground.head, path)} - known:
            if f"{path}::{name}" not in found:
                yield f"{path}::{name}"


def _vanished(ground: Ground, ran: Ran, found: frozenset[str]) -> Iterator[str]:
    """Tests of base that head has in the same file and under the same name, and that are not collected there."""
    run = set(ground.selection.head) - ran.head.silent
    for name in map(ground.at_head, ran.base.ids if ran.head.whole else ()):
        function = function_of(name)
        path, _, rest = function.partition("::")
        if path in run and function not in found and rest in _defined(ground.head, path):
            yield name


def _python(view: View, path: str) -> bytes:
    return view.files.get(path, b"") if path.endswith(".py") else b""


def _defined(view: View, path: str) -> frozenset[str]:
    """The functions of a file, with their classes, under whatever condition."""
    return _functions_in(_python(view, path))


@lru_cache(maxsize=64)  # asked for with every test of a file
def _functions_in(content: bytes) -> frozenset[str]:
    tree = parsed(text(content))
    return frozenset(_functions(tree)) if tree is not None else frozenset()


def _functions(node: ast.AST, scope: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{scope}{child.name}"
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{scope}{child.name}::")
        elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _functions(child, scope)


def _uncollected(view: View, path: str) -> Iterator[Uncollected]:
    tree = parsed(text(_python(view, path)))
    return uncollected(tree) if tree is not None else iter(())


def _not_installed(raised: Raised | None, view: View) -> str:
    """A test that needs a package which is not there says nothing; one whose code needs it does."""
    if raised is None or raised.type != _MISSING or not raised.name or not raised.frames:
        return ""
    top = raised.name.partition(".")[0]
    ours = any(
        path.startswith((f"{root}{top}/", f"{root}{top}.py"))
        for path in view.files
        for root in (f"{each}/" if each else "" for each in (*view.roots, ""))
    )
    if ours or top in sys.stdlib_module_names or not view.is_test_side(raised.frames[-1].file):
        return ""
    return f"It needs {top}, which is not installed: the project does not say so where we look"


def ordered(tests: Iterable[TestEvidence]) -> tuple[TestEvidence, ...]:
    """Regressions first."""
    rank = {kind: number for number, kind in enumerate(dict.fromkeys((*_FIRST, *get_args(Kind))))}
    return tuple(sorted(tests, key=lambda test: (rank[test.kind], test.id)))
