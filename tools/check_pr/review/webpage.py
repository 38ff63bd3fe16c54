"""The report on a pull request as part of a page, in the order of the review."""

from ..._html.markup import Html, joined, tag
from ..._html.parts import (
    Column,
    badge,
    block,
    code,
    counted,
    facts,
    folded,
    left_out,
    line,
    listing,
    seconds,
    section,
    sentence,
    table,
    titled,
)
from ...run_generated_tests.webpage import stayed_home
from ..words import Kind
from . import webtables
from .report import AnnotationReport, ProjectReport, PrReport, PrTestReport
from .sections import KINDS
from .webtables import at

# Enough to tell commits apart; the JSON has all of it.
_HASH = 12
_FAILING = {"pass_to_fail", "new_and_fails"}
_LOOKS: dict[Kind, str] = {
    "pass_to_fail": "bad",
    "new_and_fails": "bad",
    "fail_to_pass_strong": "good",
    "fail_to_pass_weak": "good",
    "pass_to_pass": "good",
    "unknown": "ours",
    "newly_skipped": "ours",
    "removed": "ours",
    "not_collected": "ours",
    "flaky": "ours",
}


def body(shown: PrReport, whole: PrReport) -> Html:
    """The page's content. `shown` has the tests that are listed."""
    several = len(whole.projects) > 1
    return joined(
        section("For a person to look at", listing(whole.needs_review, "look")),
        section("What was compared", _refs(whole)),
        [_project(one, several=several) for one in shown.projects],
        section("Findings at lines", _annotations(shown)),
        section(
            "Files that were not sent to a sandbox",
            stayed_home(whole.stayed_home, whole.stayed_home_more),
        ),
        section("Notes", listing(whole.notes)),
        section("The review for GitHub", block(whole.review, "Markdown", folded=True)),
    )


def _refs(report: PrReport) -> Html:
    refs = report.refs
    return joined(
        facts(
            {
                "compared": code(refs.name),
                "title": line(refs.title),
                "base": (code(refs.merge_base[:_HASH]), " (merge base)")
                if refs.merge_base
                else None,
                "head": code(refs.head[:_HASH]) or "a diff on top of base",
                "base branch": code(refs.base[:_HASH]) if refs.base != refs.merge_base else None,
                "merges": {"clean": "yes", "conflicts": "no", "unknown": ""}[refs.merge],
                "changed files": f"{refs.changed_files:,}",
                "took": seconds(report.duration_seconds) if report.duration_seconds else None,
            }
        ),
        section("These files do not merge", listing(refs.conflicts), level=3),
        listing(refs.notes),
    )


def _project(project: ProjectReport, *, several: bool) -> Html:
    titled = (
        ("Regressions", _regressions(project)),
        ("Could not be decided", _undecided(project)),
        ("Tests", _tests(project)),
        ("Changes that can hide a failure", webtables.suspects(project.suspects)),
        ("What head tries to do and base did not", webtables.behaviours(project.behaviours)),
        ("Tests of the changed lines", webtables.coverage(project.coverage)),
        ("Speed", webtables.speeds(project.performance)),
        ("Public names", webtables.api(project.api)),
        ("Other versions of Python", webtables.pythons(project.pythons)),
        ("Environment", webtables.environments(project.environments)),
        ("Remarks", listing(project.notes)),
    )
    sections = [section(title, part, level=3 if several else 2) for title, part in titled]
    if not several:
        return joined(sections)
    name = code(project.folder) or "The top of the repository"
    verdict = tag("p", badge(project.verdict), " ", line(project.reason))
    return tag("section", tag("h2", name), verdict, sections)


def _undecided(project: ProjectReport) -> Html | None:
    if not project.problems:
        return None
    return joined(sentence("None of this is counted as a regression."), listing(project.problems))


def _regressions(project: ProjectReport) -> Html:
    failing = [one for one in project.tests if one.kind in _FAILING]
    return joined(
        listing(project.regressions),
        table(
            "Tests that fail at head",
            failing,
            (
                Column[PrTestReport]("test", _test, prose=True),
                Column("base", lambda one: one.base),
                Column("head", lambda one: one.head),
                Column("where", lambda one: code(one.where)),
            ),
        ),
        [
            folded(("What it raised: ", code(one.id)), block(one.error, "", folded=False))
            for one in failing[:50]
            if one.error
        ],
    )


def _tests(project: ProjectReport) -> Html | None:
    if not project.total_tests:
        return sentence("No test was run.")
    told = [one for one in project.tests if one.kind not in _FAILING]
    return joined(
        table(
            f"All {project.total_tests:,} tests by kind",
            list(project.counts.items()),
            (
                Column[tuple[Kind, int]]("kind", lambda one: _badge(one[0])),
                Column("tests", lambda one: f"{one[1]:,}", number=True),
                Column("what it means", lambda one: KINDS[one[0]], prose=True),
            ),
        ),
        table(
            "Tests that do not fail at head, and are not the same on both sides",
            told,
            (
                Column[PrTestReport]("test", _test, prose=True),
                Column("base", lambda one: one.base),
                Column("base with head's tests", lambda one: one.base_with_head),
                Column("head", lambda one: one.head),
                Column("head with base's tests", lambda one: one.head_with_base),
                Column("again", _again),
            ),
        ),
        sentence(project.selected),
        facts({side: code(command) for side, command in project.commands.items()}),
    )


def _test(test: PrTestReport) -> Html:
    return titled(code(test.id), _badge(test.kind), line(test.why), code(test.error, 200))


def _badge(kind: Kind) -> Html:
    return badge(kind, _LOOKS.get(kind, "none"))


def _again(test: PrTestReport) -> str:
    return "; ".join(f"{side}: {counted(every)}" for side, every in test.outcomes.items())


def _annotations(report: PrReport) -> Html | None:
    return joined(
        table(
            "Findings",
            report.annotations,
            (
                Column[AnnotationReport]("where", lambda one: code(at(one.path, one.line))),
                Column("severity", lambda one: badge(one.severity)),
                Column("what", lambda one: line(one.title)),
                Column("detail", lambda one: line(one.message), prose=True),
            ),
        ),
        left_out(report.annotations_more, "more findings"),
    )
