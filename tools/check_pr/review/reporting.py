"""Put what was found out about a pull request into the report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...run_generated_tests.feedback import ranges
from ...run_generated_tests.project import Kept
from ...run_generated_tests.report import StayedHome
from ...run_generated_tests.reporting import stayed_home
from ..beyond.beyond import ApiChange, ChangeCoverage, OnPython, Speed
from ..checked import Checked
from ..environment.environment import Behaviour, Environment, Environments
from ..evidence.evidence import Evidence, Suspect, TestEvidence
from ..pull.pull import Pull
from ..verdict import decide
from ..words import Kind
from .annotations import annotations_of, worst_first
from .markdown import markdown
from .plain import all_plain
from .report import (
    ApiReport,
    BehaviourReport,
    ChangedLinesReport,
    CoverageReport,
    EnvironmentsReport,
    OnPythonReport,
    PackageReport,
    ProjectReport,
    PrReport,
    PrTestReport,
    RefsReport,
    SpeedReport,
    SurvivorReport,
    SuspectReport,
)
from .sections import KINDS

ORDER = tuple(KINDS)
COUNTED: tuple[Kind, ...] = ("skipped", "pass_to_pass")
ANNOTATIONS = 500
_WORST_FIRST = ("failed", "errored", "skipped", "passed")
_TEXT = 2_000
_TOLD_IN_FULL = 300
_SHORT = 200
_HOME_WHYS = ("secret", "ignored", "size", "kind", "link")


def report_of(
    pull: Pull,
    projects: Sequence[Checked],
    *,
    needs_review: Sequence[str] = (),
    notes: Sequence[str] = (),
    seconds: float = 0.0,
) -> PrReport:
    """The report, its texts fit to be read, with the review and the annotations that follow from it.

    `pull` is the whole, `projects` what was found in each one that it touches, `needs_review` what a person
    should look at outside of them; `seconds` is wall time.
    """
    decision = decide(projects)
    found = worst_first(note for one in projects for note in annotations_of(one))
    home, more_home = _home(pull.head.stayed_home)
    raw = PrReport(
        verdict=decision.verdict,
        reason=decision.reason,
        needs_review=[*needs_review, *decision.needs_review],
        projects=sorted(map(_project, projects), key=lambda one: _WORST_FIRST.index(one.verdict)),
        refs=_refs(pull),
        stayed_home=home,
        stayed_home_more=more_home,
        notes=list(notes),
        annotations=found[:ANNOTATIONS],
        annotations_more=max(0, len(found) - ANNOTATIONS),
        duration_seconds=round(seconds, 3),
    )
    report = PrReport.model_validate(all_plain(raw.model_dump(mode="json"), _TEXT))
    return report.model_copy(update={"review": markdown(report)})


def _refs(pull: Pull) -> RefsReport:
    return RefsReport(
        name=pull.name,
        title=pull.title,
        merge_base=pull.base.commit,
        base=pull.tip,
        head=pull.head.commit,
        merge=pull.merge,
        conflicts=list(pull.conflicts),
        changed_files=len(pull.changes),
        notes=list(pull.notes),
    )


def _home(kept: Sequence[Kept]) -> tuple[list[StayedHome], int]:
    # A submodule or a pointer to a large file is a kind of file that tests of a folder do not know.
    known = [
        one
        if one.why in _HOME_WHYS
        else replace(one, why="kind", detail=f"{one.why}. {one.detail}".removesuffix(". "))
        for one in kept
    ]
    return stayed_home(known)


def _project(one: Checked) -> ProjectReport:
    # What concerns it alone does not name its folder again.
    decision = decide([replace(one, folder="")])
    evidence = one.evidence or Evidence()
    told = sorted(
        (test for test in evidence.tests if test.kind not in COUNTED),
        key=lambda test: (ORDER.index(test.kind), test.id),
    )
    counts = Counter(test.kind for test in evidence.tests)
    beyond = one.beyond
    return ProjectReport(
        folder=one.folder,
        verdict=decision.verdict,
        reason=decision.reason,
        needs_review=list(decision.needs_review),
        total_tests=len(evidence.tests),
        counts={kind: counts[kind] for kind in ORDER if counts[kind]},
        tests=[_test(test, number < _TOLD_IN_FULL) for number, test in enumerate(told)],
        regressions=[*one.failures, *evidence.regressions],
        suspects=[_suspect(suspect) for suspect in evidence.suspects],
        problems=[*one.problems, *evidence.problems],
        environments=_environments(one.environments) if one.environments else None,
        coverage=_coverage(beyond.coverage) if beyond.coverage else None,
        performance=[_speed(speed) for speed in beyond.speeds],
        api=[_api(change) for change in beyond.api],
        behaviours=[_behaviour(behaviour) for behaviour in beyond.behaviours],
        pythons=[_python(each) for each in beyond.pythons],
        selected=evidence.selected,
        commands=dict(evidence.commands),
        notes=list(dict.fromkeys(beyond.notes)),
    )


def _test(test: TestEvidence, in_full: bool) -> PrTestReport:
    raised = test.raised
    error = f"{raised.type}: {raised.message}".removesuffix(": ") if raised else ""
    inside = [frame for frame in raised.frames if not frame.file.startswith("/")] if raised else []
    return PrTestReport(
        id=test.id,
        kind=test.kind,
        base=test.base,
        base_with_head=test.base_with_head,
        head=test.head,
        head_with_base=test.head_with_base,
        why=test.why,
        error=error if in_full else error[:_SHORT],
        where=f"{inside[-1].file}:{inside[-1].line}" if inside else "",
        outcomes={side: list(outcomes) for side, outcomes in test.outcomes.items()},
        file=test.file,
        line=test.line,
    )


def _suspect(one: Suspect) -> SuspectReport:
    return SuspectReport(
        what=one.what, path=one.path, line=one.line, detail=one.detail, judged=one.judged
    )


def _environments(both: Environments) -> EnvironmentsReport:
    return EnvironmentsReport(
        base=both.base.how,
        head=both.head.how if both.head.how != both.base.how else "",
        python=both.head.python,
        changed=[
            PackageReport(name=one.name, before=one.before, after=one.after)
            for one in both.differences
        ],
        conflicts=list(both.conflicts),
        problems=[*_problem("base", both.base), *_problem("head", both.head)],
        notes=list(both.notes),
    )


def _problem(side: str, environment: Environment) -> Iterator[str]:
    if environment.problem:
        whose = " (not the project's fault)" if environment.fault == "ours" else ""
        yield f"{side}{whose}: {environment.problem}"


def _coverage(one: ChangeCoverage) -> CoverageReport:
    files = [
        ChangedLinesReport(path=f.path, executed=len(f.executed), missing=ranges(f.missing))
        for f in one.files
    ]
    return CoverageReport(
        percent=None if one.percent is None else round(one.percent, 1),
        files=sorted(files, key=lambda file: (not file.missing, file.path)),
        mutants=one.mutants,
        survivors=[
            SurvivorReport(path=m.file, line=m.line, diff=f"{m.before}  ->  {m.after}")
            for m in sorted(one.survivors, key=lambda m: m.telling)
        ],
        problem=one.problem,
    )


def _speed(one: Speed) -> SpeedReport:
    return SpeedReport(
        name=one.name,
        verdict=one.verdict,
        ratio=round(one.ratio, 4),
        low=round(one.low, 4),
        high=round(one.high, 4),
        pairs=one.pairs,
        p=float(f"{one.p:.3g}"),
        effect=round(one.effect, 3),
        events=None if one.events is None else round(one.events, 4),
        why=one.why,
    )


def _api(one: ApiChange) -> ApiReport:
    return ApiReport(
        name=one.name,
        kind=one.kind,
        before=one.before,
        after=one.after,
        breaks=one.breaks,
        path=one.path,
        line=one.line,
    )


def _behaviour(one: Behaviour) -> BehaviourReport:
    return BehaviourReport(kind=one.kind, what=one.what, where=one.where, when=one.when)


def _python(one: OnPython) -> OnPythonReport:
    return OnPythonReport(
        python=one.python,
        verdict=one.verdict,
        reason=one.reason,
        regressions=list(one.regressions),
    )
