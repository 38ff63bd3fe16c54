"""What became of every test on both sides, and what that means."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...run_generated_tests.events import Raised
from ...run_generated_tests.outcome import Outcome
from ..environment.environment import Behaviour, SideName
from ..words import Kind, Suspicion


@dataclass(frozen=True, slots=True)
class TestEvidence:
    """One test. Outcomes are None where it was not run on that side.

    Attributes:
        id: pytest's id, relative to the project; after a renamed file, the one at head.
        base: outcome of base's version of the test on base's code.
        base_with_head: outcome of head's version of the test on base's code.
        head: outcome of head's version on head's code.
        head_with_base: outcome of base's version of a removed or changed test on head's code.
        raised: what failed at head, or at base for a test that was mended.
        why: one sentence where the kind does not speak for itself.
        outcomes: of all reruns, by side, where there were any.
        instead: of a removed parametrised test, those that head has in its place and that fail at base: the
            function expects something else for some parameters.
    """

    __test__ = False

    id: str
    kind: Kind
    base: Outcome | None = None
    base_with_head: Outcome | None = None
    head: Outcome | None = None
    head_with_base: Outcome | None = None
    raised: Raised | None = None
    why: str = ""
    outcomes: Mapping[str, tuple[Outcome, ...]] = field(
        default_factory=dict[str, "tuple[Outcome, ...]"]
    )
    file: str = ""
    line: int = 0
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something in the pull request that can turn it green without making it right; `judged` says how it was
    judged all the same (`with base's conftest.py`).
    """

    what: Suspicion
    path: str
    line: int = 0
    detail: str = ""
    judged: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the tests say.

    Attributes:
        tests: every id once, sorted: regressions first.
        counts: how many there are of each kind; they add up to the number of tests.
        selected: which tests were run and why, in words. partial: others were left out, as not concerned.
        suspects: changes that need a person's eye.
        problems: why part of it could not be decided: timeouts, lost sandboxes, memory. Never a regression.
        regressions: other than of tests: head's package cannot be imported, nothing is collected any more.
        commands: what was run, as somebody would type it, by side.
        behaviours: what base's tests tried at base, and head's at head; see `beyond.behaviour`.
        seconds: wall time of all runs.
    """

    tests: tuple[TestEvidence, ...] = ()
    counts: Mapping[Kind, int] = field(default_factory=dict[Kind, int])
    selected: str = ""
    partial: bool = False
    suspects: tuple[Suspect, ...] = ()
    problems: tuple[str, ...] = ()
    regressions: tuple[str, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict[str, str])
    behaviours: Mapping[SideName, tuple[Behaviour, ...]] = field(
        default_factory=dict[SideName, "tuple[Behaviour, ...]"]
    )
    seconds: float = 0.0

    def of(self, *kinds: Kind) -> tuple[TestEvidence, ...]:
        """The tests of these kinds."""
        return tuple(test for test in self.tests if test.kind in kinds)


def function_of(name: str) -> str:
    """The id of a test without its parameters."""
    return name.partition("[")[0]
