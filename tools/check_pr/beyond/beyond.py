"""What was found beyond the tests."""

from dataclasses import dataclass
from typing import Literal

from ...run_generated_tests.measured import Mutant
from ..environment.environment import Behaviour


@dataclass(frozen=True, slots=True)
class ChangedLines:
    """Statements on changed lines of one file at head that tests ran and did not run; numbers from 1."""

    path: str
    executed: tuple[int, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChangeCoverage:
    """Changed lines and who runs them; `survivors` are mutants on changed lines that no test notices,
    of `mutants` tried. `problem`: why it could not be measured, empty where it could.
    """

    files: tuple[ChangedLines, ...] = ()
    survivors: tuple[Mutant, ...] = ()
    mutants: int = 0
    problem: str = ""

    @property
    def percent(self) -> float | None:
        """Of changed statements, those that ran; None where none changed."""
        executed = sum(len(file.executed) for file in self.files)
        missing = sum(len(file.missing) for file in self.files)
        return 100.0 * executed / (executed + missing) if executed + missing else None


@dataclass(frozen=True, slots=True)
class ApiChange:
    """A public name that head has not, has anew, or has with another signature.

    `breaks` says in a sentence which calls that worked do not any more; empty if none.
    """

    name: str
    kind: Literal["removed", "added", "changed"]
    before: str = ""
    after: str = ""
    breaks: str = ""
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Speed:
    """One benchmark, base against head.

    Attributes:
        ratio: CPU time of head over that of base, the median of the pairs; `low` and `high` bound it with 95 %
            confidence.
        pairs: of processes, one a side and at the same time; 0 if it could not be measured, as `why` says.
        p: of the Mann-Whitney U test, two-sided. `effect`: P(head slower) - P(head faster), Cliff's delta.
        events: ratio of counted events (lines and branches), None where they were not counted.
        why: in a sentence, what decided; for `undecided`, what was missing.
    """

    name: str
    verdict: Literal["faster", "slower", "same", "undecided"]
    ratio: float
    low: float
    high: float
    pairs: int
    p: float
    effect: float
    events: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class OnPython:
    """Head on one more version of Python: whether what passes there at base passes at head."""

    python: str
    verdict: Literal["passed", "failed", "errored", "skipped"]
    reason: str
    regressions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Beyond:
    """All of it. `behaviours` are those at head that base has not."""

    coverage: ChangeCoverage | None = None
    api: tuple[ApiChange, ...] = ()
    speeds: tuple[Speed, ...] = ()
    behaviours: tuple[Behaviour, ...] = ()
    pythons: tuple[OnPython, ...] = ()
    notes: tuple[str, ...] = ()
