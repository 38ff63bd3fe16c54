"""All that was found out about one project of a pull request; the report is made of these."""

from dataclasses import dataclass, field

from .beyond.beyond import Beyond
from .environment.environment import Environments
from .evidence.evidence import Evidence
from .pull.pull import Pull


@dataclass(frozen=True, slots=True)
class Checked:
    """One project: the folder of the repository it is in ("" for all of it) and what was found.

    Attributes:
        pull: as it looks inside the folder.
        environments: None where none could be had.
        evidence: None where no test could be run; `problems` then says why.
        problems: what failed through no fault of the pull request, a sentence each.
        failures: what makes it fail apart from tests: requirements that conflict, a build that breaks.
    """

    folder: str
    pull: Pull
    environments: Environments | None = None
    evidence: Evidence | None = None
    beyond: Beyond = field(default_factory=Beyond)
    problems: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
