"""What was measured of tests: lines and branches, mutants, functions and who notices that they are broken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .findings import Finding

Status = Literal["killed", "survived", "timeout", "infra_error"]


@dataclass(frozen=True, slots=True)
class WorthOptions:
    """What to measure. `cpu_seconds` is the budget of mutation, None for the mode's own;
    `coverage_target` is in per cent; `seed` chooses the sample of mutants.
    """

    mutation: Literal["off", "quick", "thorough"] = "quick"
    cpu_seconds: float | None = None
    coverage_target: float | None = None
    seed: int = 0
    timezone: str = "UTC"
    hash_seed: int = 0
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    test_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Lines and branches of a file under test; a branch is a pair of lines, the second negative for an exit."""

    executed: tuple[int, ...]
    missing: tuple[int, ...]
    branches: tuple[tuple[int, int], ...]
    missing_branches: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What all tests together ran of the source under test, by file, and what each of them ran.

    `percent` counts lines and branches alike. `per_test` has first and last lines of what a test ran.
    `met` is None where there was no target.
    """

    percent: float
    files: Mapping[str, FileCoverage]
    per_test: Mapping[str, Mapping[str, tuple[tuple[int, int], ...]]]
    target: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.percent >= self.target


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one line, and what the tests made of it. `by` is the test that killed it, or in which the
    process hung or ended; `telling` is small where survival says much about the tests.
    """

    id: str
    file: str
    line: int
    function: str
    operator: str
    before: str
    after: str
    status: Status
    by: str = ""
    reason: str = ""
    telling: int = 0
    cpu_seconds: float = 0.0

    @property
    def diff(self) -> str:
        """On one line."""
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


@dataclass(frozen=True, slots=True)
class Mutation:
    """Mutants of the lines that tests reach: `total` of them, of which `mutants` is a random sample or all.

    `cpu_seconds` is what trying them took.
    """

    total: int
    mutants: tuple[Mutant, ...]
    cpu_seconds: float
    budget: float

    def count(self, status: Status) -> int:
        return sum(mutant.status == status for mutant in self.mutants)

    @property
    def score(self) -> float | None:
        """The share of killed ones among those with a clear answer."""
        clear = self.count("killed") + self.count("survived")
        return self.count("killed") / clear if clear else None

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """The most telling first."""
        alive = (mutant for mutant in self.mutants if mutant.status == "survived")
        return tuple(sorted(alive, key=lambda one: (one.telling, one.file, one.line)))


@dataclass(frozen=True, slots=True)
class Reached:
    """A function under test, how many tests reach it, and one that notices when it is broken, if any.

    `unproved`: all of them were tried, and come out alike.
    """

    file: str
    line: int
    name: str
    tests: int
    proved_by: str
    unproved: bool = False


@dataclass(frozen=True, slots=True)
class Worth:
    """What the tests are worth; `findings` by test. If it is not `complete`, nothing may be called proved."""

    complete: bool
    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict[str, Sequence[Finding]])
    proofs: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    functions: tuple[Reached, ...] = ()
    coverage: Coverage | None = None
    mutation: Mutation | None = None
    problems: tuple[str, ...] = ()
    lost: bool = False
    cpu_seconds: float = 0.0
