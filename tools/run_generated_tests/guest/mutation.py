"""Mutants, each in a fork of its own, against only the tests that run its lines, until one of them fails.

Whatever is not reached by a test is not mutated: that it is not covered is said elsewhere. A mutant is killed
only by a test that failed; one that ends or hangs the process is tried again, and told apart if it does so again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .cover import Lines
from .forks import Forked
from .mutants import File, Mutant
from .swap import Functions
from .trials import Trials

Report = Callable[..., None]


@dataclass(frozen=True)
class Reached:
    """A mutant with the tests that run its lines, in the order in which they are tried."""

    file: File
    mutant: Mutant
    tests: Sequence[str]

    @property
    def id(self) -> str:
        return f"{self.file.path}:{self.mutant.id}"


class Mutation:
    """Tries mutants until all are tried or the CPU seconds are used up, and as long again those without an answer."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._killers: dict[str, int] = {}

    def reached(
        self,
        files: Sequence[File],
        lines: Lines,
        tests: Sequence[str],
        only: dict[str, list[int]] | None = None,
    ) -> list[Reached]:
        """Every mutant that a test reaches; those on the lines `only`, by path, if that is given."""
        found: list[Reached] = []
        for file in files:
            by_line: dict[int, list[str]] = {}
            for test in tests:
                for line in lines.get(test, {}).get(file.path, ()):
                    by_line.setdefault(line, []).append(test)
            wanted = None if only is None else frozenset(only.get(file.path, ()))
            for mutant in file.mutants(wanted):
                if wanted is not None and mutant.line not in wanted:
                    continue
                covering = {test for line in mutant.lines for test in by_line.get(line, ())}
                if covering:
                    found.append(
                        Reached(
                            file, mutant, sorted(covering, key=self._trials.seconds.__getitem__)
                        )
                    )
        return found

    def try_all(
        self,
        mutants: Sequence[Reached],
        cpu_seconds: float,
        seed: int,
        report: Report,
        most: int | None = None,
    ) -> int:
        """Try mutants in an order that is chance, so that those tried are a fair sample; how many were."""
        order = list(mutants)
        random.Random(seed).shuffle(order)
        order = order[:most]
        spent = 0.0
        tried = 0
        again: list[tuple[Reached, Forked]] = []
        for one in order:
            if spent >= cpu_seconds:
                break
            forked = self._fork(one, 1.0)
            spent += forked.cpu
            tried += 1
            if _status(forked) in {"timeout", "infra_error"}:
                again.append((one, forked))
            else:
                report(**_told(one, forked))
        for one, first in again:
            if spent >= 2 * cpu_seconds:
                report(**_told(one, first))
                continue
            forked = self._fork(one, 3.0)
            spent += forked.cpu
            report(**_told(one, forked, first))
        return tried

    def kills(self, one: Reached, tests: Sequence[str]) -> Iterator[str]:
        """Those of the tests that notice a mutant by themselves."""
        for test in tests:
            forked = self._run(one, [test], 1.0)
            if forked.ended == "done" and forked.outcomes[test].status == "check":
                yield test

    def _fork(self, one: Reached, patience: float) -> Forked:
        # A test that killed one mutant is likely to kill its neighbours.
        tests = sorted(one.tests, key=lambda test: -self._killers.get(test, 0))
        forked = self._run(one, tests, patience)
        if forked.failed:
            self._killers[forked.failed] = self._killers.get(forked.failed, 0) + 1
        return forked

    def _run(self, one: Reached, tests: Sequence[str], patience: float) -> Forked:
        return self._trials.run(
            tests, lambda: put(one, self._trials.functions), stop_early=True, patience=patience
        )


def put(one: Reached, functions: Functions) -> None:
    """Put a mutant into this process.

    Raises LookupError where no function in this process has the code that it changes.
    """
    mutant = one.mutant
    if mutant.default is not None:
        line, which = mutant.default
        value = getattr(mutant.node, "value", None)
        name = mutant.function.rpartition(".")[2]
        if not functions.set_default(one.file.path, line, name, which, value):
            raise LookupError("the function is not there")
    elif not functions.put(one.file.mutated(mutant)):
        raise LookupError("the function is not there")


def _status(forked: Forked) -> str:
    if forked.failed:
        return "killed"
    if forked.ended == "done":
        return "survived"
    return "timeout" if forked.ended == "timeout" else "infra_error"


def _told(one: Reached, forked: Forked, first: Forked | None = None) -> dict[str, Any]:
    """The record of a mutant. One that broke its process twice in the same test broke it by itself."""
    status = _status(forked)
    by = forked.failed or forked.running
    reason = forked.reason
    if first is not None and _status(first) == status == "infra_error" and by == first.running:
        status = "killed" if by else status
    mutant = one.mutant
    return {
        "id": one.id,
        "file": one.file.path,
        "line": mutant.line,
        "function": mutant.function,
        "operator": mutant.operator,
        "telling": mutant.telling,
        "before": mutant.before,
        "after": mutant.after,
        "status": status,
        "by": by,
        "reason": reason,
        "tests": len(one.tests),
        "cpu": round(forked.cpu + (first.cpu if first is not None else 0.0), 4),
    }
