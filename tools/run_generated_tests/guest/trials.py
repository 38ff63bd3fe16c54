"""Tests that passed, run again in a fork in which something was changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from .forks import Before, Forked, Forks, Pace
from .swap import Functions


@dataclass
class Trials:
    """The tests by their ids, the CPU seconds that each took, how long it may take now, and the functions
    that can be changed.
    """

    forks: Forks
    items: Mapping[str, pytest.Item]
    functions: Functions
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    paces: dict[str, Pace] = field(default_factory=dict[str, Pace])

    @property
    def cpu(self) -> float:
        """CPU seconds of all forks so far."""
        return self.forks.cpu

    def run(
        self,
        tests: Sequence[str],
        before: Before = lambda: None,
        *,
        around: Callable[[pytest.Item], None] = lambda item: None,
        touched: Callable[[], int] = lambda: 0,
        stop_early: bool = False,
        patience: float = 1.0,
    ) -> Forked:
        """Run tests, as `Forks.run` does; `patience` is how many times as long each may take."""
        return self.forks.run(
            [self.items[test] for test in tests],
            lambda test: self.paces[test].times(patience),
            before=before,
            around=around,
            touched=touched,
            stop_early=stop_early,
        )
