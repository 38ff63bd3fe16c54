"""The report on a suite as part of a page: the tests as a table of evidence, then what they do not see."""

from .._html.markup import Html, joined, tag
from .._html.parts import (
    Column,
    badge,
    block,
    code,
    counted,
    diff,
    facts,
    folded,
    left_out,
    line,
    listing,
    names,
    seconds,
    section,
    sentence,
    table,
    titled,
    yes_or_no,
)
from .report import (
    AttemptReport,
    FileCoverageReport,
    MutationReport,
    PythonReport,
    StayedHome,
    TestReport,
    TestsReport,
)


def body(shown: TestsReport, whole: TestsReport) -> Html:
    """The page's content. `shown` has the tests that are listed."""
    return joined(
        _facts(whole),
        section("What concerns the whole suite", listing(whole.problems)),
        section("Tests", _tests(shown.tests), [_more(one) for one in shown.tests]),
        section("For whoever mends them", block(shown.feedback, "Feedback, one line a cause")),
        section("Coverage", _coverage(whole)),
        section("Faults put in on purpose", _mutation(whole.mutation)),
        section("Versions of Python", _pythons(whole.pythons)),
        section("Attempts of the model", _attempts(whole.attempts)),
        section("The tests to keep, as a file", block(whole.file, "File", folded=True)),
        section(
            "Files that were not sent to a sandbox",
            stayed_home(whole.stayed_home, whole.stayed_home_more),
        ),
        section("Notes", listing(whole.notes)),
    )


def stayed_home(files: list[StayedHome], more: int) -> Html | None:
    """Files that were not sent to a sandbox, and why."""
    return joined(
        table(
            "Files that stayed home",
            files,
            (
                Column[StayedHome]("file", lambda one: code(one.file)),
                Column("why", lambda one: one.why),
                Column("detail", lambda one: line(one.detail), prose=True),
            ),
        ),
        left_out(more, "more files"),
    )


def _facts(report: TestsReport) -> Html | None:
    percent, target = report.coverage_percent, report.coverage_target
    aim = f" (target {target:g} %)" if target is not None else ""
    return facts(
        {
            "tests": f"{report.total_tests:,}",
            "keep": f"{report.keep:,}",
            "mend": f"{report.mend:,}",
            "drop": f"{report.drop:,}",
            "tests execute": yes_or_no(report.tests_execute),
            "valid Python": yes_or_no(report.syntax_valid),
            "all check something": yes_or_no(report.has_assertions),
            "coverage": f"{percent:.1f} %{aim}" if percent is not None else None,
            "runs": f"{report.runs:,}" if report.runs else None,
            "Python": report.python,
            "pytest": report.pytest,
            "packages added": names(report.packages),
            "imports begin in": names(report.import_roots),
            "took": seconds(report.duration_seconds) if report.duration_seconds else None,
        }
    )


def _tests(tests: list[TestReport]) -> Html | None:
    return table(
        "Each test and what is known of it",
        tests,
        (
            Column[TestReport]("test", _test, prose=True),
            Column("line", lambda one: f"{one.line}" if one.line else None, number=True),
            Column("run by run", lambda one: counted(one.outcomes)),
            Column("assertions", lambda one: f"{one.assertions:,}", number=True),
            Column("lines it runs", lambda one: f"{one.covers:,}", number=True),
            Column("notices when broken", lambda one: names(one.proves)),
            Column("time", lambda one: seconds(one.duration_seconds), number=True),
        ),
    )


def _test(one: TestReport) -> Html:
    what = tag("span", one.kind.replace("_", " "), class_="kind")
    return titled(code(one.id), (badge(one.verdict), " ", what), line(one.reason))


def _more(one: TestReport) -> Html | None:
    said = joined(listing(one.more), block(one.output, "What it printed", folded=False))
    return folded(("More on ", code(one.id)), said) if said else None


def _coverage(report: TestsReport) -> Html | None:
    return table(
        "What the tests run of each file",
        report.coverage_files,
        (
            Column[FileCoverageReport]("file", lambda one: code(one.file)),
            Column("covered", lambda one: f"{one.percent:.1f} %", number=True),
            Column("lines not run", lambda one: line(one.missing)),
            Column("branches not taken", lambda one: line(one.missing_branches)),
        ),
    )


def _mutation(one: MutationReport | None) -> Html | None:
    if one is None:
        return None
    score = f"{100 * one.score:.0f} %" if one.score is not None else "unknown"
    return joined(
        facts(
            {
                "noticed": f"{one.killed:,}",
                "not noticed": f"{one.survived:,}",
                "score": score,
                "timed out": f"{one.timeout:,}" if one.timeout else None,
                "unclear": f"{one.infra_error:,}" if one.infra_error else None,
                "tried": f"{one.tried:,} of {one.total:,}",
            }
        ),
        tag("h3", "Faults that no test noticed") if one.survivors else None,
        [diff(survivor, "", folded=False) for survivor in one.survivors[:50]],
        left_out(len(one.survivors) - 50, "more"),
    )


def _pythons(pythons: list[PythonReport]) -> Html | None:
    return table(
        "The suite on each version",
        pythons,
        (
            Column[PythonReport]("Python", lambda one: line(one.python)),
            Column("verdict", lambda one: badge(one.verdict)),
            Column("passed", lambda one: f"{one.passed:,}", number=True),
            Column("failed", lambda one: f"{one.failed:,}", number=True),
            Column("skipped", lambda one: f"{one.skipped:,}", number=True),
            Column("why", lambda one: line(one.reason), prose=True),
        ),
    )


def _attempts(attempts: list[AttemptReport]) -> Html | None:
    rounds = [
        folded(
            (f"{number}. ", badge(one.verdict), " ", line(one.reason), f" ({one.kept} to keep)"),
            block(one.feedback, "What it was told", folded=False) or sentence("Nothing was told."),
        )
        for number, one in enumerate(attempts, 1)
    ]
    return joined(rounds)
