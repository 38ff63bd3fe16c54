"""Put what was found out into the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import _beside, _text
from .._verdict import Verdict
from .events import Record, TestResult
from .feedback import feedback, ranges, untaken
from .measured import Coverage, FileCoverage, Mutation, Worth
from .overall import worst_first
from .project import Kept
from .report import (
    FileCoverageReport,
    MutationReport,
    PythonReport,
    StayedHome,
    TestReport,
    TestsReport,
)
from .request import TestsRequest
from .verdicts import Evidence, Judged

_SHOWN_HOME = 30
_SHOWN_SURVIVORS = 10
_SHOWN_IGNORED = 5
_SHOWN_WARNINGS = 5
_LONGEST_WARNING = 500
# They have findings of their own.
_TOLD_OF_TESTS = {"Unseen", "RuntimeWarning", "PytestReturnNotNoneWarning"}
_HOME_ORDER = ("secret", "size", "link", "kind")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A suite on one Python; no `evidence` where there was no such Python."""

    python: PythonReport
    evidence: Evidence | None = None
    judged: tuple[Judged, ...] = ()


def version_of(version: str, verdict: tuple[Verdict, str], evidence: Evidence) -> PythonReport:
    """A line of the table of versions."""
    tests = evidence.repeats.first.tests.values()
    outcomes = [evidence.repeats.outcomes(test.id) for test in tests]
    passed = sum(set(each) == {"passed"} for each in outcomes)
    skipped = sum(set(each) <= {"skipped", "xfailed"} for each in outcomes)
    return PythonReport(
        python=evidence.repeats.first.python or version,
        verdict=verdict[0],
        reason=_text.clean(verdict[1]),
        passed=passed,
        skipped=skipped,
        failed=len(outcomes) - passed - skipped,
    )


def report_of(request: TestsRequest, outcomes: Sequence[Outcome], *, seconds: float) -> TestsReport:
    """The report: in full of the first Python that was there, and a table of all."""
    main = next(outcome for outcome in outcomes if outcome.evidence)
    evidence, judged = main.evidence, main.judged
    assert evidence is not None
    verdict, reason = _overall(outcomes)
    run = evidence.repeats.first
    project = evidence.prepared.project
    home, more_home = stayed_home(project.stayed_home)
    return TestsReport(
        verdict=verdict,
        reason=_text.clean(reason),
        total_tests=len(judged),
        keep=sum(one.verdict == "keep" for one in judged),
        mend=sum(one.verdict == "mend" for one in judged),
        drop=sum(one.verdict == "drop" for one in judged),
        tests_execute=_execute(evidence),
        syntax_valid=not any(sheet.error for sheet in evidence.prepared.sheets),
        has_assertions=_all_assert(evidence),
        tests=[_test(one, evidence.worth) for one in worst_first(judged)],
        feedback=feedback(evidence, judged),
        problems=[_text.clean(problem) for problem in _problems(evidence)],
        pythons=[outcome.python for outcome in outcomes] if request.python_versions else [],
        stayed_home=home,
        stayed_home_more=more_home,
        notes=[*project.notes, *_notes(evidence)],
        runs=len(evidence.repeats.runs),
        python=run.python,
        pytest=run.pytest,
        packages=list(project.packages),
        import_roots=[root or "." for root in project.roots],
        duration_seconds=round(seconds, 3),
        **_measures(request, evidence),
    )


def _overall(outcomes: Sequence[Outcome]) -> tuple[Verdict, str]:
    """The worst of all versions; one that is missing is named and never a pass."""
    main = next(outcome.python for outcome in outcomes if outcome.evidence)
    for verdict in ("failed", "errored", "skipped"):
        for outcome in outcomes:
            if outcome.python.verdict == verdict:
                where = "" if outcome.python is main else f"On Python {outcome.python.python}: "
                return verdict, f"{where}{outcome.python.reason}"
    also = f" The same on {len(outcomes)} versions of Python." if len(outcomes) > 1 else ""
    return "passed", main.reason + also


def _execute(evidence: Evidence) -> bool:
    """Whether everything that was found was run to its end, and something was found."""
    run = evidence.repeats.first
    return (
        bool(run.tests) and run.complete and not run.not_collected and not evidence.repeats.culprits
    )


def _all_assert(evidence: Evidence) -> bool:
    """Whether every test that ran held an assert statement, or has a check of another kind in it."""
    written = {
        f"{sheet.path}::{test.name}": test.asserts
        for sheet in evidence.prepared.sheets
        for test in sheet.tests
    }
    tests = evidence.repeats.first.tests
    ran = [test for test in tests.values() if test.outcome not in {"skipped", "not_run"}]
    return bool(ran) and all(
        _assertions(evidence.repeats.results(test.id))
        or written.get(test.id.partition("[")[0], True)
        for test in ran
    )


def _assertions(results: Sequence[TestResult]) -> int:
    """They are counted in one of the runs."""
    return max((result.assertions for result in results), default=0)


def _problems(evidence: Evidence) -> list[str]:
    repeats = evidence.repeats
    found = [*repeats.untrusted, *repeats.lost]
    found += [f"{file} was left out: {why}" for file, why in repeats.first.left_out.items()]
    if repeats.first.deselected:
        names = ", ".join(repeats.first.deselected[:5])
        found.append(
            f"{len(repeats.first.deselected)} tests were taken out by the project itself: {names}"
        )
    if evidence.worth is not None:
        found += evidence.worth.problems
    return found


def _notes(evidence: Evidence) -> list[str]:
    notes: list[str] = []
    if len(evidence.repeats.runs) == 1 and evidence.repeats.first.tests:
        notes.append("One run only: whether a test depends on chance, or on others, is not known.")
    changed = sorted({path for run in evidence.repeats.runs for path in run.changed})
    if changed:
        notes.append(f"The tests change files of the project: {', '.join(changed[:5])}.")
    warnings = [w for w in evidence.repeats.first.warnings if w["kind"] not in _TOLD_OF_TESTS]
    notes += [_warning(w) for w in warnings[:_SHOWN_WARNINGS]]
    return [_text.clean(note).replace("/home/user/project/", "") for note in notes]


def _warning(warning: Record) -> str:
    """What pytest warns of, without the traceback that it shows and the lines of its own that it names."""
    text = str(warning["text"])
    head, _, traceback = text.partition("\n\nTraceback ")
    if traceback:
        lines = (line for line in traceback.splitlines()[1:] if not line.startswith(" "))
        return f"{head}: {next(lines, '')}"
    place = (
        "" if _beside.is_installed(warning["file"]) else f"{warning['file']}:{warning['line']}: "
    )
    return f"{place}{text[:_LONGEST_WARNING]}"


def _test(one: Judged, worth: Worth | None) -> TestReport:
    first = one.reasons[0] if one.reasons else None
    result = one.results[0] if one.results else None
    blamed = first if one.verdict != "keep" else None
    others = one.reasons[1:] if blamed else one.reasons
    failing = next((r for r in one.results if r.outcome != "passed"), None)
    output = next((p.output for p in failing.phases if p.output), "") if failing else ""
    return TestReport(
        id=_text.clean(one.id),
        verdict=one.verdict,
        kind=blamed.kind if blamed else "",
        reason=_text.clean(blamed.message) if blamed else "",
        line=(blamed.line if blamed and blamed.line else one.line) or None,
        more=[_text.clean(f"{each.kind}: {each.message}") for each in others],
        outcomes=[result.outcome for result in one.results][:20],
        assertions=_assertions(one.results),
        duration_seconds=round(result.seconds, 4) if result else 0.0,
        covers=_lines(one, worth.coverage) if worth and worth.coverage else 0,
        proves=list(one.proofs[:10]),
        output=_text.clean(output),
    )


def _lines(one: Judged, coverage: Coverage) -> int:
    runs = coverage.per_test.get(one.id, {}).values()
    return sum(last - first + 1 for each in runs for first, last in each)


def stayed_home(kept: Sequence[Kept]) -> tuple[list[StayedHome], int]:
    """Those to name, secrets before all, and of what git ignores a few; and how many more there are."""
    ignored = [one for one in kept if one.why == "ignored"]
    others = sorted(
        (one for one in kept if one.why != "ignored"), key=lambda one: _HOME_ORDER.index(one.why)
    )
    named = [*others[:_SHOWN_HOME], *ignored[:_SHOWN_IGNORED]]
    rows = ({"file": one.path, "why": one.why, "detail": one.detail} for one in named)
    return [StayedHome.model_validate(row) for row in rows], len(kept) - len(named)


def _measures(request: TestsRequest, evidence: Evidence) -> dict[str, Any]:
    worth = evidence.worth
    found: dict[str, Any] = {"coverage": False, "coverage_target": request.coverage_target}
    if worth is None:
        return found
    if worth.coverage is not None:
        met = worth.coverage.met
        found["coverage"] = worth.coverage.percent > 0 if met is None else met
        found["coverage_percent"] = round(worth.coverage.percent, 2)
        found["coverage_files"] = _files(worth.coverage)
    if worth.mutation is not None:
        found["mutation"] = _mutation(worth.mutation)
    return found


def _files(coverage: Coverage) -> list[FileCoverageReport]:
    return [
        FileCoverageReport(
            file=path,
            percent=_percent(file),
            missing=ranges(file.missing),
            missing_branches=untaken(file),
        )
        for path, file in sorted(coverage.files.items())
    ]


def _percent(file: FileCoverage) -> float:
    done = len(file.executed) + len(file.branches)
    total = done + len(file.missing) + len(file.missing_branches)
    return round(100 * done / total, 2) if total else 100.0


def _mutation(mutation: Mutation) -> MutationReport:
    score = mutation.score
    return MutationReport(
        total=mutation.total,
        tried=len(mutation.mutants),
        killed=mutation.count("killed"),
        survived=mutation.count("survived"),
        timeout=mutation.count("timeout"),
        infra_error=mutation.count("infra_error"),
        score=None if score is None else round(score, 4),
        survivors=[_text.clean(one.diff) for one in mutation.survivors[:_SHOWN_SURVIVORS]],
        cpu_seconds=round(mutation.cpu_seconds, 2),
    )
