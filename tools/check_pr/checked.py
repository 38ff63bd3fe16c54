"""Everything that was found out about a pull request, for the verdict and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._verdict import Verdict
from .beyond.beyond import Beyond
from .environment.environment import Environments
from .evidence.evidence import Evidence
from .pull.pull import Pull


@dataclass(frozen=True, slots=True)
class CheckedProject:
    """One project of a repository, which may have several.

    Attributes:
        folder: where it is in the repository, "" for all of it. All paths below are relative to it.
        pull: what the pull request changes in it.
        environments, evidence: None where it did not come to that; `problems` then says why.
        problems: what our side could not do. Never a regression.
        python: version that the tests ran on.
    """

    folder: str
    pull: Pull
    environments: Environments | None = None
    evidence: Evidence | None = None
    beyond: Beyond = field(default_factory=Beyond)
    problems: tuple[str, ...] = ()
    python: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The whole of it. `problems` are those of no project; `seconds` is wall time."""

    pull: Pull
    projects: tuple[CheckedProject, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, why, and what a person should look at all the same."""

    verdict: Verdict
    reason: str
    needs_review: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision on a pull request, and on each of its projects by folder."""

    whole: Decision
    projects: Mapping[str, Decision]
