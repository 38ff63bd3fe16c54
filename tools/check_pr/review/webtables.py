"""What is said of a pull request beyond its tests, each as a table of the page."""

from ..._html.markup import Html, joined
from ..._html.parts import Column, badge, code, facts, line, listing, section, sentence, table
from .report import (
    ApiReport,
    BehaviourReport,
    ChangedLinesReport,
    CoverageReport,
    EnvironmentsReport,
    OnPythonReport,
    PackageReport,
    SpeedReport,
    SurvivorReport,
    SuspectReport,
)


def suspects(suspects: list[SuspectReport]) -> Html | None:
    """Changes that can turn tests green without making the code right."""
    return table(
        "What could turn tests green without making the code right",
        suspects,
        (
            Column[SuspectReport]("what", lambda one: one.what.replace("_", " ")),
            Column("where", lambda one: code(at(one.path, one.line))),
            Column("detail", lambda one: line(one.detail), prose=True),
            Column("judged", lambda one: line(one.judged), prose=True),
        ),
    )


def behaviours(behaviours: list[BehaviourReport]) -> Html | None:
    """What head tries to do and base did not."""
    return table(
        "New behaviour",
        behaviours,
        (
            Column[BehaviourReport]("what", lambda one: one.kind),
            Column("of what", lambda one: code(one.what)),
            Column("where", lambda one: code(one.where)),
            Column("when", lambda one: line(one.when)),
        ),
    )


def coverage(cover: CoverageReport | None) -> Html | None:
    """Whether tests run the changed lines, and notice when they are wrong."""
    if cover is None:
        return None
    noticed = cover.mutants - len(cover.survivors)
    return joined(
        sentence(cover.problem),
        sentence(f"Tests run {cover.percent:g} % of the changed statements.")
        if cover.percent is not None
        else None,
        table(
            "Changed lines by file",
            cover.files,
            (
                Column[ChangedLinesReport]("file", lambda one: code(one.path)),
                Column("run", lambda one: f"{one.executed:,}", number=True),
                Column("not run by any test", lambda one: line(one.missing)),
            ),
        ),
        sentence(f"Of {cover.mutants} small faults put into changed lines, tests notice {noticed}.")
        if cover.mutants
        else None,
        table(
            "Faults that no test notices",
            cover.survivors,
            (
                Column[SurvivorReport]("line", lambda one: code(at(one.path, one.line))),
                Column("fault", lambda one: code(one.diff)),
            ),
        ),
    )


def speeds(speeds: list[SpeedReport]) -> Html | None:
    """Benchmarks, head against base."""
    return table(
        "CPU time of head over that of base",
        speeds,
        (
            Column[SpeedReport]("benchmark", lambda one: code(one.name)),
            Column("head is", lambda one: badge(one.verdict)),
            Column("head / base", lambda one: f"{one.ratio:.3f}", number=True),
            Column("95 % interval", lambda one: f"{one.low:.3f} to {one.high:.3f}", number=True),
            Column("events", lambda one: None if one.events is None else f"{one.events:.3f}",
                   number=True),
            Column("pairs", lambda one: f"{one.pairs}", number=True),
            Column("p", lambda one: f"{one.p:.2g}", number=True),
            Column("why", lambda one: line(one.why), prose=True),
        ),
    )  # fmt: skip


def api(changes: list[ApiReport]) -> Html | None:
    """Public names, those first whose change breaks callers."""
    return table(
        "Public names that changed",
        sorted(changes, key=lambda one: not one.breaks),
        (
            Column[ApiReport]("name", lambda one: code(one.name)),
            Column("what", lambda one: one.kind),
            Column("base", lambda one: code(one.before)),
            Column("head", lambda one: code(one.after)),
            Column("what breaks", lambda one: line(one.breaks), prose=True),
            Column("where", lambda one: code(at(one.path, one.line))),
        ),
    )


def pythons(pythons: list[OnPythonReport]) -> Html | None:
    """Head on other versions of Python."""
    return table(
        "Head on other versions",
        pythons,
        (
            Column[OnPythonReport]("Python", lambda one: line(one.python)),
            Column("verdict", lambda one: badge(one.verdict)),
            Column("why", lambda one: line(one.reason), prose=True),
            Column("regressions", lambda one: line(", ".join(one.regressions)), prose=True),
        ),
    )


def environments(both: EnvironmentsReport | None) -> Html | None:
    """What both sides ran in."""
    if both is None:
        return None
    return joined(
        facts({"Python": line(both.python), "base": line(both.base), "head": line(both.head)}),
        section("Conflicts and problems", listing([*both.conflicts, *both.problems]), level=3),
        table(
            "Packages that differ",
            both.changed,
            (
                Column[PackageReport]("package", lambda one: code(one.name)),
                Column("base", lambda one: line(one.before) or "not there"),
                Column("head", lambda one: line(one.after) or "not there"),
            ),
        ),
        listing(both.notes),
    )


def at(path: str, row: int) -> str:
    """A place as people write it; without a line that is 0."""
    return f"{path}:{row}" if row else path
