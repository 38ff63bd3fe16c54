"""Findings at the lines that they are about."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...run_generated_tests.feedback import ranges
from ..beyond.beyond import ApiChange, ChangeCoverage, Speed
from ..checked import Checked
from ..environment.environment import Behaviour
from ..evidence.evidence import Suspect, TestEvidence
from ..pull.pull import Change, Tree
from ..words import Kind
from .report import AnnotationReport, Severity, SideOfDiff

# What git shows around a change.
_CONTEXT = 3
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding: its severity, and what it says."""

    severity: Severity
    title: str


RULES: dict[str, Rule] = {
    "pass_to_fail": Rule("error", "A test that passes at base fails here"),
    "new_and_fails": Rule("error", "A test of this pull request fails"),
    "regression": Rule("error", "What held at base does not hold here"),
    "slower": Rule("error", "A benchmark is slower than at base"),
    "unknown": Rule("warning", "What becomes of a test is not known"),
    "newly_skipped": Rule("warning", "A test that passed is skipped now"),
    "removed": Rule("warning", "A test is gone"),
    "not_collected": Rule("warning", "A test is written and not found by pytest"),
    "flaky": Rule("warning", "A test does not always come to the same"),
    "new_but_pass_at_base": Rule("notice", "A new test passes without the change too"),
    "suspect": Rule("warning", "This can turn tests green without making the code right"),
    "behaviour": Rule("warning", "The code tries to do what base did not"),
    "api": Rule("warning", "A public name changed so that calls break"),
    "survivor": Rule("notice", "No test notices when this line is wrong"),
    "uncovered": Rule("notice", "No test runs these changed lines"),
}


def worst_first(found: Iterable[AnnotationReport]) -> list[AnnotationReport]:
    """Annotations in the order in which a person should see them."""
    return sorted(
        found, key=lambda one: (_SEVERITIES.index(one.severity), one.path, one.line, one.rule)
    )


def annotations_of(project: Checked) -> Iterator[AnnotationReport]:
    """All that can be said at a line of this project, with paths relative to the repository."""
    places = _Places(project)
    if project.evidence is not None:
        for test in project.evidence.tests:
            yield from places.test(test)
        for suspect in project.evidence.suspects:
            yield places.suspect(suspect)
        yield from map(places.regression, project.evidence.regressions)
    yield from map(places.regression, project.failures)
    beyond = project.beyond
    for python in beyond.pythons:
        if python.verdict == "failed":
            yield places.regression(f"On Python {python.python}: {python.reason}")
    for speed in beyond.speeds:
        if speed.verdict == "slower":
            yield places.slower(speed)
    yield from (places.api(change) for change in beyond.api if change.path and change.breaks)
    yield from (places.behaviour(one) for one in beyond.behaviours if _place(one.where)[1])
    if beyond.coverage is not None:
        yield from places.coverage(beyond.coverage)


class _Places:
    """Where findings of a project are in the repository, and which of that the diff shows."""

    def __init__(self, project: Checked) -> None:
        self._start = f"{project.folder}/" if project.folder else ""
        self._trees: dict[SideOfDiff, Tree] = {
            "LEFT": project.pull.base,
            "RIGHT": project.pull.head,
        }
        self._changes = {change.path: change for change in project.pull.changes}
        self._old = {change.old_path: change for change in project.pull.changes if change.old_path}
        self._first = next(
            ((change.path, min(change.added)) for change in project.pull.changes if change.added),
            (project.pull.changes[0].path if project.pull.changes else ".", 1),
        )

    def test(self, test: TestEvidence) -> Iterator[AnnotationReport]:
        """What a test shows, at the line of the change that it failed in where there is one."""
        if test.kind not in RULES:
            return
        side: SideOfDiff = "LEFT" if test.kind == "removed" else "RIGHT"
        path, line = self._failed(test) if side == "RIGHT" else _home(test)
        raised = f"{test.raised.type}: {test.raised.message}" if test.raised else ""
        message = "\n".join(part for part in (test.id, test.why, raised) if part)
        yield self._at(test.kind, path, line, message, side)

    def regression(self, sentence: str) -> AnnotationReport:
        """What is about no line: at the first one that changed, for no system shows it without a place."""
        return self._at("regression", *self._first, sentence)

    def slower(self, speed: Speed) -> AnnotationReport:
        """A benchmark, at the first changed line."""
        message = f"{speed.name}: {speed.ratio:.3f} times the CPU time of base. {speed.why}"
        return self._at("slower", *self._first, message.rstrip())

    def suspect(self, one: Suspect) -> AnnotationReport:
        """Where it was taken away, or where it is now."""
        gone = one.what == "test_deleted" or one.path not in self._trees["RIGHT"].files
        message = one.detail or one.what.replace("_", " ")
        if one.judged:
            message += f"\nJudged {one.judged}."
        return self._at("suspect", one.path, one.line, message, "LEFT" if gone else "RIGHT")

    def api(self, change: ApiChange) -> AnnotationReport:
        """The name where it was, or is."""
        side: SideOfDiff = "LEFT" if change.kind == "removed" else "RIGHT"
        return self._at("api", change.path, change.line, f"{change.name}: {change.breaks}", side)

    def behaviour(self, one: Behaviour) -> AnnotationReport:
        """The line that tries it."""
        path, line = _place(one.where)
        message = f"{one.kind}: {one.what} (when: {one.when})"
        return self._at("behaviour", path, line, message)

    def coverage(self, one: ChangeCoverage) -> Iterator[AnnotationReport]:
        """Changed lines that nothing runs, and those whose faults nothing notices."""
        for file in one.files:
            for first, last in _runs(file.missing):
                message = f"No test runs line {ranges(range(first, last + 1))}."
                yield self._at("uncovered", file.path, first, message, end_line=last)
        for mutant in one.survivors:
            message = f"The tests pass all the same with: {mutant.before}  ->  {mutant.after}"
            yield self._at("survivor", mutant.file, mutant.line, message)

    def _failed(self, test: TestEvidence) -> tuple[str, int]:
        frames = [(frame.file, frame.line) for frame in test.raised.frames] if test.raised else []
        changed = [place for place in frames if self._shows(*place, "RIGHT")]
        own: Kind = "new_and_fails"
        return changed[-1] if changed and test.kind != own else _home(test)

    def _at(
        self,
        rule: str,
        path: str,
        line: int,
        message: str,
        side: SideOfDiff = "RIGHT",
        *,
        end_line: int = 0,
    ) -> AnnotationReport:
        shown = self._shows(path, line, side) and self._shows(path, end_line or line, side)
        return AnnotationReport(
            path=f"{self._start}{path}",
            line=max(1, line),
            end_line=end_line if end_line > line else 0,
            side=side,
            in_diff=shown,
            severity=RULES[rule].severity,
            rule=rule,
            title=RULES[rule].title,
            message=message,
        )

    def _shows(self, path: str, line: int, side: SideOfDiff) -> bool:
        """Whether git's diff has this line: GitHub refuses comments elsewhere."""
        change = (self._changes if side == "RIGHT" else self._old).get(path)
        content = self._trees[side].files.get(path)
        if change is None or content is None or line < 1:
            return False
        near = any(abs(line - other) <= _CONTEXT for other in _lines(change, side))
        return near and line <= len(content.splitlines())


def _home(test: TestEvidence) -> tuple[str, int]:
    return test.file or test.id.partition("::")[0], test.line


def _lines(change: Change, side: SideOfDiff) -> tuple[int, ...]:
    return change.added if side == "RIGHT" else change.removed


def _place(where: str) -> tuple[str, int]:
    """The two halves of `path:line`; line 0 where it is none."""
    path, _, line = where.rpartition(":")
    return (path, int(line)) if path and line.isdecimal() else ("", 0)


def _runs(numbers: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers without a gap."""
    for part in filter(None, ranges(numbers).split(", ")):
        first, _, last = part.partition("-")
        yield int(first), int(last or first)
