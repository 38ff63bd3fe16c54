"""The report on a pull request: its models."""

from typing import Literal

from pydantic import BaseModel, Field

from ..._verdict import Verdict
from ..._workflow_report import WorkflowReport
from ...run_generated_tests.outcome import Outcome
from ...run_generated_tests.report import StayedHome
from ..words import BehaviourKind, Kind, Merge, Suspicion

Severity = Literal["error", "warning", "notice"]
SideOfDiff = Literal["LEFT", "RIGHT"]


class RefsReport(BaseModel):
    """Which commits were compared."""

    name: str
    title: str = ""
    merge_base: str = Field(default="", description="What head was compared with.")
    base: str = Field(default="", description="Where the base branch is now.")
    head: str = Field(default="", description="Empty for a diff, which is no commit.")
    merge: Merge = Field(default="unknown", description="Of head into the base branch.")
    conflicts: list[str] = Field(default=[], description="Files that do not merge.")
    changed_files: int = 0
    notes: list[str] = Field(default=[])


class PackageReport(BaseModel):
    """A package that the two sides do not have in one version."""

    name: str
    before: str = ""
    after: str = ""


class EnvironmentsReport(BaseModel):
    """What the two sides ran in."""

    base: str = Field(default="", description="How it was installed.")
    head: str = Field(default="", description="The same, where it differs.")
    python: str = ""
    changed: list[PackageReport] = Field(default=[])
    conflicts: list[str] = Field(default=[])
    problems: list[str] = Field(default=[], description="Why nothing could run in one of them.")
    notes: list[str] = Field(default=[])


class PrTestReport(BaseModel):
    """One test: what became of it on both sides, and what that shows."""

    id: str
    kind: Kind
    base: Outcome | None = None
    base_with_head: Outcome | None = Field(
        default=None, description="Head's version of the test on base's code."
    )
    head: Outcome | None = None
    head_with_base: Outcome | None = Field(
        default=None, description="Base's version of the test on head's code."
    )
    why: str = ""
    error: str = Field(default="", description="What it raised.")
    where: str = Field(default="", description="The innermost line of the project, as path:line.")
    outcomes: dict[str, list[Outcome]] = Field(default={}, description="Of reruns, by side.")
    file: str = ""
    line: int = 0


class SuspectReport(BaseModel):
    """A change that can turn tests green without making the code right."""

    what: Suspicion
    path: str
    line: int = 0
    detail: str = ""
    judged: str = Field(default="", description="How it was judged all the same.")


class ChangedLinesReport(BaseModel):
    """Changed lines of one file that no test runs."""

    path: str
    executed: int
    missing: str = Field(default="", description="As 3-5, 9.")


class SurvivorReport(BaseModel):
    """A small fault put into a changed line that no test noticed."""

    path: str
    line: int
    diff: str


class CoverageReport(BaseModel):
    """Whether tests run the changed lines, and notice when they are wrong."""

    percent: float | None = Field(default=None, description="Of changed statements.")
    files: list[ChangedLinesReport] = Field(default=[])
    mutants: int = 0
    survivors: list[SurvivorReport] = Field(default=[])
    problem: str = ""


class SpeedReport(BaseModel):
    """One benchmark, head against base."""

    name: str
    verdict: Literal["faster", "slower", "same", "undecided"]
    ratio: float = Field(description="CPU time of head over that of base.")
    low: float
    high: float
    pairs: int
    p: float
    effect: float = Field(description="Cliff's delta; positive is slower.")
    events: float | None = Field(default=None, description="Ratio of lines and branches run.")
    why: str = ""


class ApiReport(BaseModel):
    """A public name that changed."""

    name: str
    kind: Literal["removed", "added", "changed"]
    before: str = ""
    after: str = ""
    breaks: str = Field(default="", description="Which calls no longer work.")
    path: str = ""
    line: int = 0


class BehaviourReport(BaseModel):
    """Something that head tries to do and base did not."""

    kind: BehaviourKind
    what: str
    where: str = ""
    when: str = ""


class OnPythonReport(BaseModel):
    """Head on one more version of Python."""

    python: str
    verdict: Verdict
    reason: str
    regressions: list[str] = Field(default=[])


class ProjectReport(BaseModel):
    """One project of the repository. Its paths are relative to its folder."""

    folder: str = Field(default="", description="Empty for the whole repository.")
    verdict: Verdict
    reason: str
    needs_review: list[str] = Field(default=[])
    total_tests: int = 0
    counts: dict[Kind, int] = Field(default={}, description="They add up to total_tests.")
    tests: list[PrTestReport] = Field(
        default=[],
        description="Regressions first. What passes or is skipped on both sides is counted only.",
    )
    regressions: list[str] = Field(default=[], description="Other than of tests.")
    suspects: list[SuspectReport] = Field(default=[])
    problems: list[str] = Field(
        default=[], description="What could not be decided; never a regression."
    )
    environments: EnvironmentsReport | None = None
    coverage: CoverageReport | None = None
    performance: list[SpeedReport] = Field(default=[])
    api: list[ApiReport] = Field(default=[])
    behaviours: list[BehaviourReport] = Field(default=[], description="At head, not at base.")
    pythons: list[OnPythonReport] = Field(default=[])
    selected: str = Field(default="", description="Which tests ran, and why.")
    commands: dict[str, str] = Field(default={}, description="What was run, by side.")
    notes: list[str] = Field(default=[])


class AnnotationReport(BaseModel):
    """A finding at a line. Its path is relative to the repository."""

    path: str
    line: int
    end_line: int = 0
    side: SideOfDiff = Field(default="RIGHT", description="LEFT: a line of base.")
    in_diff: bool = Field(default=False, description="The diff shows that line.")
    severity: Severity
    rule: str
    title: str
    message: str


class PrReport(WorkflowReport):
    """What a pull request changes, with evidence."""

    verdict: Verdict = Field(
        description="passed: something ran, nothing regressed. failed: it regressed. errored: undecided."
    )
    needs_review: list[str] = Field(
        default=[], description="What a person should look at, whatever the verdict."
    )
    projects: list[ProjectReport] = Field(default=[], description="Worst first.")
    refs: RefsReport
    stayed_home: list[StayedHome] = Field(
        default=[], description="Files of head not sent to a sandbox."
    )
    stayed_home_more: int = 0
    notes: list[str] = Field(default=[])
    annotations: list[AnnotationReport] = Field(default=[])
    annotations_more: int = 0
    review: str = Field(default="", description="As Markdown for GitHub.")
    duration_seconds: float = 0.0
