"""What a run of tests came to: every test with its phases, what was collected, how the process ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .outcome import Outcome

Record = Mapping[str, Any]


ProbeKind = Literal["failing", "passing", "raising"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A line that an exception went through; `file` is relative to the project where it is in it."""

    file: str
    line: int
    function: str
    text: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: its type, text, and frames inside the project, the innermost last."""

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """`setup`, `call` or `teardown` of a test. `seconds` is wall time; `raised` the type of whatever
    ended it, a skip too; `assertions` counts assert statements that held, where they were counted.
    """

    when: str
    outcome: str
    seconds: float
    raised: str = ""
    assertions: int = 0
    error: Raised | None = None
    reason: str = ""
    expected_failure: bool = False
    output: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A test that was collected. `line` counts from 1 in `file`; `name` is without parameters."""

    id: str
    file: str
    line: int
    name: str
    cls: str = ""
    kind: str = "Function"


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test in one run. `left` names what it left changed; `subtests` has the exceptions of
    its subtests that failed, each with the name of its subtest.
    """

    __test__ = False

    id: str
    outcome: Outcome
    phases: tuple[Phase, ...] = ()
    left: tuple[str, ...] = ()
    subtests: tuple[Raised, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall time of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def assertions(self) -> int:
        """Assert statements that held."""
        return max((phase.assertions for phase in self.phases), default=0)

    @property
    def error(self) -> Raised | None:
        """The first exception that counts against it."""
        found = next((phase.error for phase in self.phases if phase.error), None)
        return found or next(iter(self.subtests), None)

    @property
    def reason(self) -> str:
        """Why it was skipped, or expected to fail."""
        return next((phase.reason for phase in self.phases if phase.reason), "")


@dataclass(frozen=True, slots=True)
class TestRun:
    """One process of tests.

    Attributes:
        complete: every test that was chosen has an outcome, and the records may be believed.
        problems: why it is not complete, or what else must not be passed over, one sentence each.
        culprit: the test (or the file, at its import) in which the run came to its early end.
        tests: outcomes by id, in the order in which they ran; tests that were not run included.
        items: everything that was collected, also what was not chosen.
        not_collected: files that could not be collected, and the exception; `left_out`: those that
            asked to be skipped, and why; `deselected`: ids that the project itself took out.
        guests: the records of those who look for more, by the name of the module.
        warnings: pytest's own.
        changed: project files that were not the same at the end.
        lost: the sandbox was lost; nothing is known.
        hung_at: a hanging process's own account of where it was.
        stdout, stderr: the last of what the process printed outside of tests.
        how, status: how the process ended, in the driver's word, and its exit status (negative for
            a signal); empty and None where there was no answer.
        seconds, cpu_seconds: of the process.
    """

    __test__ = False

    complete: bool
    problems: tuple[str, ...] = ()
    culprit: str = ""
    tests: Mapping[str, TestResult] = field(default_factory=dict[str, TestResult])
    items: tuple[Item, ...] = ()
    not_collected: Mapping[str, Raised] = field(default_factory=dict[str, Raised])
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    deselected: tuple[str, ...] = ()
    guests: Mapping[str, Sequence[Record]] = field(default_factory=dict[str, "list[Record]"])
    warnings: tuple[Record, ...] = ()
    changed: tuple[str, ...] = ()
    lost: bool = False
    hung_at: str = ""
    stdout: str = ""
    stderr: str = ""
    python: str = ""
    pytest: str = ""
    how: str = ""
    status: int | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """A test of our own: what must become of it. See `guest.probes`."""

    name: str
    kind: ProbeKind
    place: float
    side: int
    number: int
