"""The sections of the review: what each says of a project, as paragraphs and tables of Markdown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..words import Kind
from .escape import cell, code, fenced, html_code, text
from .report import ProjectReport, PrReport, PrTestReport
from .tables import Size, bullets, lines, table

KINDS: dict[Kind, str] = {
    "pass_to_fail": "passed at base, fails at head: a regression",
    "new_and_fails": "new, and fails",
    "unknown": "not known: a run was lost or ended early",
    "newly_skipped": "passed at base, skipped at head",
    "removed": "gone at head",
    "not_collected": "written as a test, and not found by pytest",
    "flaky": "does not always come to the same",
    "fail_to_pass_strong": "failed at base, passes at head: proves the change",
    "fail_to_pass_weak": "could not be collected at base, passes at head",
    "new_but_pass_at_base": "new, and passes without the change: proves nothing about it",
    "fail_to_fail": "fails on both sides",
    "skipped": "skipped on both sides",
    "pass_to_pass": "passes on both sides",
}
"""In the order in which tests are told."""


@dataclass(frozen=True, slots=True)
class Section:
    """`write` gives the paragraphs; none where there is nothing to say."""

    title: str
    write: Callable[[ProjectReport, Size], Iterator[str]]


def commits(report: PrReport, size: Size) -> Iterator[str]:
    """Which commits were compared."""
    refs = report.refs
    rows = [
        ["compared", cell(refs.name)],
        ["base", f"{cell(refs.merge_base)} (merge base)" if refs.merge_base else ""],
        ["head", cell(refs.head) or "a diff on top of base"],
        ["base branch", cell(refs.base) if refs.base != refs.merge_base else ""],
        ["merges", {"clean": "yes", "conflicts": "no", "unknown": ""}[refs.merge]],
        ["changed files", f"{refs.changed_files:,}"],
    ]
    yield table(["", ""], [row for row in rows if row[1]], list, size)
    if refs.conflicts:
        yield "These files do not merge:"
        yield bullets(map(code, refs.conflicts), size)
    if refs.notes:
        yield bullets(map(text, refs.notes), size)


def left_at_home(report: PrReport, size: Size) -> Iterator[str]:
    """Files that were not sent to a sandbox."""
    if report.stayed_home:
        yield "**Files that were not sent to a sandbox**"
        yield table(
            ["file", "why", ""],
            report.stayed_home,
            lambda one: [cell(one.file), one.why, text(one.detail)],
            size,
            more=report.stayed_home_more,
        )


def _regressions(project: ProjectReport, size: Size) -> Iterator[str]:
    failing = [one for one in project.tests if one.kind in {"pass_to_fail", "new_and_fails"}]
    if project.regressions:
        yield bullets((text(one, size.words * 3) for one in project.regressions), size)
    if failing:
        yield table(
            ["test", "base", "head", "where", "why"],
            failing,
            lambda one: [
                cell(one.id),
                one.base or "",
                one.head or "",
                cell(one.where),
                _why(one, size),
            ],
            size,
        )
    for one in [one for one in failing if one.error][: size.details]:
        yield f"<details><summary>{html_code(one.id)}</summary>\n\n{fenced(one.error)}\n\n</details>"


def _tests(project: ProjectReport, size: Size) -> Iterator[str]:
    if not project.total_tests:
        yield "No test was run."
        return
    counts = [[KINDS[kind], f"{count:,}"] for kind, count in project.counts.items()]
    # All kinds, or they would not add up.
    every = [["tests", "number"], ["---", "---"], *counts, ["**all**", f"{project.total_tests:,}"]]
    yield lines(every)
    told = [one for one in project.tests if one.kind not in {"pass_to_fail", "new_and_fails"}]
    if told:
        yield table(
            ["test", "what", "base", "base with head's tests", "head", "why"],
            told,
            lambda one: [
                cell(one.id),
                one.kind.replace("_", " "),
                one.base or "",
                one.base_with_head or "",
                one.head or "",
                _why(one, size),
            ],
            size,
        )
    if project.selected:
        yield text(project.selected)
    for side, command in project.commands.items():
        yield f"{text(side)}: {code(command)}"


def _suspects(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.suspects:
        yield table(
            ["what", "where", "", "judged"],
            project.suspects,
            lambda one: [
                one.what.replace("_", " "),
                cell(_at(one.path, one.line)),
                text(one.detail, size.words),
                text(one.judged, size.words),
            ],
            size,
        )


def _undecided(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.problems:
        yield "None of this is counted as a regression."
        yield bullets((text(one, size.words * 3) for one in project.problems), size)


def _behaviours(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.behaviours:
        yield table(
            ["what", "", "where", "when"],
            project.behaviours,
            lambda one: [one.kind, cell(one.what), cell(one.where), cell(one.when)],
            size,
        )


def _coverage(project: ProjectReport, size: Size) -> Iterator[str]:
    cover = project.coverage
    if cover is None:
        return
    if cover.problem:
        yield text(cover.problem)
    if cover.percent is not None:
        yield f"Tests run {cover.percent:g} % of the changed statements."
    if missing := [one for one in cover.files if one.missing]:
        yield table(
            ["file", "changed lines that no test runs"],
            missing,
            lambda one: [cell(one.path), text(one.missing, size.words)],
            size,
        )
    if cover.mutants:
        noticed = cover.mutants - len(cover.survivors)
        yield f"Of {cover.mutants} small faults put into changed lines, tests notice {noticed}."
    if cover.survivors:
        yield table(
            ["line", "fault that no test notices"],
            cover.survivors,
            lambda one: [cell(_at(one.path, one.line)), cell(one.diff)],
            size,
        )


def _performance(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.performance:
        yield table(
            ["benchmark", "head is", "CPU time, head / base", "events", "pairs", "p", "why"],
            project.performance,
            lambda one: [
                cell(one.name),
                one.verdict,
                f"{one.ratio:.3f} ({one.low:.3f} to {one.high:.3f})",
                f"{one.events:.3f}" if one.events is not None else "",
                f"{one.pairs}",
                f"{one.p:.2g}",
                text(one.why, size.words),
            ],
            size,
        )


def _api(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.api:
        yield table(
            ["name", "", "base", "head", "what breaks"],
            sorted(project.api, key=lambda one: not one.breaks),
            lambda one: [
                cell(one.name),
                one.kind,
                cell(one.before),
                cell(one.after),
                text(one.breaks, size.words),
            ],
            size,
        )


def _pythons(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.pythons:
        yield table(
            ["Python", "", "why", "regressions"],
            project.pythons,
            lambda one: [
                text(one.python),
                one.verdict,
                text(one.reason, size.words),
                _names(one.regressions, size),
            ],
            size,
        )


def _environments(project: ProjectReport, size: Size) -> Iterator[str]:
    both = project.environments
    if both is None:
        return
    for side, how in (("Base", both.base), ("Head", both.head)):
        if how:
            yield f"{side}: {text(how)}"
    if both.python:
        yield f"Python {text(both.python)}."
    if found := [*both.conflicts, *both.problems]:
        yield bullets((text(one, size.words * 3) for one in found), size)
    if both.changed:
        yield table(
            ["package", "base", "head"],
            both.changed,
            lambda one: [cell(one.name), cell(one.before), cell(one.after)],
            size,
        )
    if both.notes:
        yield bullets(map(text, both.notes), size)


def _notes(project: ProjectReport, size: Size) -> Iterator[str]:
    if project.notes:
        yield bullets(map(text, project.notes), size)


SECTIONS = (
    Section("Regressions", _regressions),
    Section("Could not be decided", _undecided),
    Section("Tests", _tests),
    Section("Changes that can hide a failure", _suspects),
    Section("What head tries to do and base did not", _behaviours),
    Section("Tests of the changed lines", _coverage),
    Section("Speed", _performance),
    Section("Public names", _api),
    Section("Other versions of Python", _pythons),
    Section("Environment", _environments),
    Section("Remarks", _notes),
)


def _why(test: PrTestReport, size: Size) -> str:
    if test.why:
        return text(test.why, size.words)
    return cell(test.error, size.words)


def _at(path: str, line: int) -> str:
    return f"{path}:{line}" if line else path


def _names(names: Sequence[str], size: Size) -> str:
    shown = ", ".join(cell(name) for name in names[: size.rows])
    return f"{shown} and {len(names) - size.rows} more" if len(names) > size.rows else shown
