"""The report on a suite: its models, and its text for people and for hosts that forward only text."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from .. import _text
from .._verdict import Verdict
from .._workflow_report import Rest, WorkflowReport

RESULTS = 60
CHARACTERS = 24_000
FULL_CHARACTERS = 40_000
_REASON = 500


class TestReport(BaseModel):
    """One test, or what was meant as one."""

    __test__ = False

    id: str = Field(description="As pytest names it; a file where none of it could run.")
    verdict: Literal["keep", "mend", "drop"]
    kind: str = Field(default="", description="What is wrong, in a word.")
    reason: str = ""
    line: int | None = Field(default=None, description="In its file, from 1.")
    more: list[str] = Field(default=[], description="What else was found; notes cost nothing.")
    outcomes: list[str] = Field(default=[], description="Run by run.")
    assertions: int = Field(default=0, description="Assert statements that held in a run.")
    duration_seconds: float = 0.0
    covers: int = Field(default=0, description="Lines of the source that it runs.")
    proves: list[str] = Field(default=[], description="Functions whose breaking it notices.")
    output: str = Field(default="", description="What it printed when it failed.")


class FileCoverageReport(BaseModel):
    """What the tests run of a file under test."""

    file: str
    percent: float
    missing: str = Field(default="", description="Lines that no test runs.")
    missing_branches: str = Field(
        default="", description="Ways from a line to another that no test takes, where both run."
    )


class MutationReport(BaseModel):
    """Small faults put into the lines that tests reach, and whether a test noticed."""

    total: int = Field(description="Possible ones.")
    tried: int
    killed: int
    survived: int
    timeout: int = 0
    infra_error: int = Field(default=0, description="No clear answer, through no fault of a test.")
    score: float | None = Field(default=None, description="killed / (killed + survived)")
    survivors: list[str] = Field(default=[], description="The most telling first.")
    cpu_seconds: float = 0.0


class PythonReport(BaseModel):
    """The suite on one version of Python."""

    python: str
    verdict: Verdict
    reason: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0


class StayedHome(BaseModel):
    """A file that was not sent to the sandbox."""

    file: str
    why: Literal["secret", "ignored", "size", "kind", "link"]
    detail: str = ""


class AttemptReport(BaseModel):
    """One round of the loop that lets a model write tests."""

    verdict: Verdict
    reason: str
    kept: int
    feedback: str = ""


class TestsReport(WorkflowReport):
    """All tests of a suite, worst first."""

    __test__ = False

    total_tests: int = 0
    keep: int = 0
    mend: int = 0
    drop: int = 0
    tests_execute: bool = Field(description="Something was collected and ran to its end.")
    syntax_valid: bool = Field(description="All test files are valid Python.")
    has_assertions: bool = Field(description="Every test that ran checks something.")
    coverage: bool = Field(
        description="The target is met; without one, the tests run some of the source."
    )
    coverage_percent: float | None = None
    coverage_target: float | None = None
    tests: list[TestReport] = Field(default=[])
    feedback: str = Field(default="", description="For whoever mends the tests: one line a cause.")
    problems: list[str] = Field(default=[], description="What concerns the whole suite.")
    coverage_files: list[FileCoverageReport] = Field(default=[])
    mutation: MutationReport | None = None
    pythons: list[PythonReport] = Field(default=[])
    stayed_home: list[StayedHome] = Field(default=[])
    stayed_home_more: int = 0
    notes: list[str] = Field(default=[])
    runs: int = Field(default=0, description="Processes in which all tests ran.")
    python: str = ""
    pytest: str = ""
    packages: list[str] = Field(default=[], description="Added to those of every sandbox.")
    import_roots: list[str] = Field(default=[], description="Where imports begin, in the project.")
    duration_seconds: float = 0.0
    attempts: list[AttemptReport] = Field(default=[], description="Of the loop with generate.")
    file: str = Field(default="", description="With generate: a test file of the tests to keep.")

    @classmethod
    def without_tests(cls, verdict: Verdict, reason: str, **more: Any) -> "TestsReport":
        """The report where there was nothing that could run."""
        nothing = dict.fromkeys(
            ("tests_execute", "syntax_valid", "has_assertions", "coverage"), False
        )
        return cls(verdict=verdict, reason=reason, **nothing, **more)


def page(report: TestsReport, offset: int = 0, full: bool = False) -> TestsReport:
    """The report from its test `offset` on, as a `Workflow` wants it."""
    room = FULL_CHARACTERS if full else CHARACTERS
    room -= min(len(report.feedback), room // 2)
    taken: list[TestReport] = []
    cut = 0
    for test in report.tests[offset : offset + RESULTS * (2 if full else 1)]:
        shown, omitted = (test, 0) if full else _cut(test)
        room -= len(shown.model_dump_json(exclude_defaults=True))
        if room < 0 and taken:
            break
        taken.append(shown)
        cut += omitted
    told = report.feedback if full else _text.cut(report.feedback, CHARACTERS // 3).text
    cut += max(0, len(report.feedback) - len(told))
    left = max(0, len(report.tests) - offset - len(taken))
    rest = Rest(results=left, offset=offset + len(taken) if left else None, characters=cut)
    change = {"tests": taken, "feedback": told, "rest": rest if left or cut else None}
    return report.model_copy(update=change)


def _cut(test: TestReport) -> tuple[TestReport, int]:
    reason, output = _text.cut(test.reason, _REASON), _text.cut(test.output, _REASON)
    change = {"reason": reason.text, "output": output.text}
    return test.model_copy(update=change), reason.omitted + output.omitted


def render(report: TestsReport) -> str:
    """The report as text: the verdict, each test that is not to be kept, then counts of the rest."""
    where = f" (Python {report.python}, {report.duration_seconds:.3g} s)" if report.python else ""
    lines = [f"{report.verdict}: {report.reason}{where}"]
    lines += [f"suite: {problem}" for problem in report.problems]
    for test in report.tests:
        if test.verdict != "keep":
            lines += _lines(test)
    lines += _measures(report)
    lines += [_python(one) for one in report.pythons]
    if report.stayed_home:
        shown = ", ".join(f"{one.file} ({one.why})" for one in report.stayed_home)
        more = f" and {report.stayed_home_more} more" if report.stayed_home_more else ""
        lines.append(f"stayed home: {shown}{more}")
    lines += [f"note: {note}" for note in report.notes]
    kept = [test for test in report.tests if test.verdict == "keep"]
    lines += [f"keep: {', '.join(test.id for test in kept)}"] if kept else []
    for number, attempt in enumerate(report.attempts, 1):
        lines.append(f"attempt {number}: {attempt.verdict}: {attempt.reason}")
    lines += [f"feedback:\n{report.feedback}"] if report.feedback else []
    lines += [f"file:\n{report.file}"] if report.file else []
    return "\n".join(lines)


def _lines(test: TestReport) -> list[str]:
    where = f":{test.line}" if test.line and "::" not in test.id else ""
    line = f", line {test.line}" if test.line and "::" in test.id else ""
    lines = [f"{test.verdict}: {test.id}{where}: {test.kind}{line}: {test.reason}"]
    lines += [f"    {text}" for text in test.more]
    return lines


def _measures(report: TestsReport) -> list[str]:
    lines: list[str] = []
    if report.coverage_percent is not None:
        target = (
            f" (target {report.coverage_target:g} %)" if report.coverage_target is not None else ""
        )
        lines.append(f"coverage: {report.coverage_percent:.1f} % of lines and branches{target}")
        for one in report.coverage_files:
            lines += [f"    {one.file}: not run: {one.missing}"] if one.missing else []
            branches = one.missing_branches
            lines += [f"    {one.file}: not taken: {branches}"] if branches else []
    if report.mutation is not None:
        one = report.mutation
        lines.append(
            f"mutants: {one.killed} killed, {one.survived} survived, {one.timeout} timed out, "
            f"{one.infra_error} unclear; {one.tried} of {one.total} tried"
        )
        lines += [f"    {diff}" for diff in one.survivors]
    return lines


def _python(one: PythonReport) -> str:
    counts = f"{one.passed} passed, {one.failed} failed, {one.skipped} skipped"
    return f"Python {one.python}: {one.verdict}: {counts}; {one.reason}"
