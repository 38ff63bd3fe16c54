"""The verdict of a pull request, by rules that are all here.

failed: something that held at base does not hold at head. errored: it could not be decided, through the
machinery or because base itself is of no use. skipped: there was nothing to judge. passed: tests ran and
passed at head, none of what held at base is gone, and nothing was left undecided.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .._verdict import Verdict
from ..run_generated_tests.project import Kept
from .checked import Checked
from .evidence.evidence import Evidence, Suspect, TestEvidence
from .evidence.kinds import INSIDE
from .pull.pull import Pull
from .words import Kind

_HELD = frozenset({"passed", "xfailed"})
_BROKE = frozenset({"failed", "error", "timed_out", "ended"})
_PROVEN: tuple[Kind, ...] = (
    "pass_to_pass",
    "fail_to_pass_strong",
    "fail_to_pass_weak",
    "new_but_pass_at_base",
)
_TAKEN_BACK: frozenset[Kind] = frozenset({"removed", "newly_skipped", "not_collected"})
_SHOWN = 3
_CODE = (".py", ".pyi", ".pyx", ".toml", ".cfg", ".ini")
_FEW_LINES = 50.0


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` in a sentence or two; `needs_review`: what a person should look at, whatever the verdict."""

    verdict: Verdict
    reason: str
    needs_review: tuple[str, ...] = ()


def decide(projects: Sequence[Checked]) -> Decision:
    """The verdict over all projects that the pull request touches."""
    review = tuple(_all(projects, _review))
    if failures := list(_all(projects, _failures)):
        return Decision("failed", _joined(failures), review)
    if problems := list(_all(projects, _undecided)):
        return Decision("errored", f"It could not be decided: {_joined(problems)}", review)
    proven = _number(projects, *_PROVEN)
    if not proven:
        return Decision("skipped", _nothing(projects), review)
    mended = _number(projects, "fail_to_pass_strong", "fail_to_pass_weak")
    before = f", of which {mended} failed at base" if mended else ""
    chosen = " ".join(_all(projects, _left_out))
    run = "of those that were run, none" if chosen else "none"
    reason = f"Tests that pass at head: {proven}{before}; {run} that held at base broke. {chosen}"
    return Decision("passed", reason.rstrip(), review)


_Rule = Callable[[Checked], Iterable[str]]


def _number(projects: Sequence[Checked], *kinds: Kind) -> int:
    return sum(len(each.evidence.of(*kinds)) for each in projects if each.evidence)


def _all(projects: Sequence[Checked], rule: _Rule) -> Iterator[str]:
    for each in projects:
        for sentence in dict.fromkeys(rule(each)):
            yield f"{each.folder}: {sentence}" if each.folder else sentence


def _joined(sentences: Sequence[str]) -> str:
    shown = " ".join(sentences[:_SHOWN])
    more = len(sentences) - _SHOWN
    return f"{shown} And {more} more." if more > 0 else shown


def _failures(checked: Checked) -> Iterator[str]:
    yield from checked.failures
    if checked.evidence is not None:
        yield from _broken(checked.evidence)
    for speed in checked.beyond.speeds:
        if speed.verdict == "slower":
            yield f"{speed.name} takes {speed.ratio:.2f} times as long as at base."
    for python in checked.beyond.pythons:
        if python.verdict == "failed":
            yield f"On Python {python.python}: {python.reason}"


def _broken(evidence: Evidence) -> Iterator[str]:
    yield from evidence.regressions
    yield from _listed("Passed at base and fail at head", evidence.of("pass_to_fail"))
    yield from _listed("New tests that fail", evidence.of("new_and_fails"))
    hidden = tuple(_hidden(evidence))
    yield from _listed("Deleted, skipped or weakened, and failing as base has them", hidden)
    if any(suspect.what == "hides_failures" for suspect in evidence.suspects):
        yield "Something in the pull request hides failures of tests."


def _hidden(evidence: Evidence) -> Iterator[TestEvidence]:
    """Tests that were made green by taking them back: what they check held at base and does not at head."""
    weakened = {
        (suspect.path, suspect.line)
        for suspect in evidence.suspects
        if suspect.what == "assertion_weakened"
    }
    for test in evidence.tests:
        # Base's version of it cannot even begin where what it tests is gone: that may be meant.
        if test.base not in _HELD or test.head_with_base not in INSIDE:
            continue
        taken_back = test.kind in _TAKEN_BACK and not test.instead
        if taken_back or (test.file, test.line) in weakened:
            yield test


def _silent(evidence: Evidence) -> Iterator[TestEvidence]:
    """Tests that nobody took back, and that all the same say nothing at head: its code skips them."""
    for test in evidence.of("newly_skipped", "not_collected"):
        if test.base == "passed" and test.head_with_base in {None, "skipped", "xfailed"}:
            yield test


def _undecided(checked: Checked) -> Iterator[str]:
    yield from checked.problems
    if unsent := [one for one in _unsent(checked.pull) if one.path.endswith(_CODE)]:
        said = _shown(f"{one.path} ({one.detail.rstrip('.') or one.why})" for one in unsent)
        yield f"Changed code was not sent to a sandbox, so nothing is known about it: {said}."
    if checked.evidence is None:
        return
    yield from checked.evidence.problems
    if sum(checked.evidence.counts.values()) != len(checked.evidence.tests):
        yield "The counts of tests do not add up; this is a bug of proofbox."
    unknown = checked.evidence.of("unknown")
    yield from _listed("Nothing is known of tests", unknown)
    if why := next((test.why for test in unknown if test.why), ""):
        yield f"{why.rstrip('.')}."
    silent = tuple(_silent(checked.evidence))
    yield from _listed("Passed at base, and head does not run them even as base has them", silent)
    if not checked.evidence.of(*_PROVEN):
        both = checked.evidence.of("fail_to_fail")
        yield from _listed("No test passes, and these fail at base too", both)
    for python in checked.beyond.pythons:
        if python.verdict == "errored":
            yield f"On Python {python.python}: {python.reason}"


def _left_out(checked: Checked) -> Iterator[str]:
    """Which tests were not run: of these nothing is said."""
    if checked.evidence is not None and checked.evidence.partial:
        yield checked.evidence.selected


def _nothing(projects: Sequence[Checked]) -> str:
    if not any(each.pull.changes for each in projects):
        return "Nothing is changed, so there was nothing to judge."
    if any(each.evidence and each.evidence.tests for each in projects):
        return "No test passed at head: those that were chosen were skipped, removed or are flaky."
    return (
        "No test was run: the project has none that concern the change. Nothing is known about it."
    )


def _unsent(pull: Pull) -> list[Kept]:
    """Changed files that stayed home."""
    changed = {change.path for change in pull.changes if change.kind != "deleted"}
    return [one for one in pull.head.stayed_home if one.path in changed]


def _review(checked: Checked) -> Iterator[str]:
    if unsent := [one.path for one in _unsent(checked.pull) if not one.path.endswith(_CODE)]:
        yield f"Changed files that no sandbox got: {_shown(unsent)}."
    if checked.pull.merge == "conflicts":
        yield f"It does not merge into the tip of its base: {', '.join(checked.pull.conflicts[:5])}."
    if checked.evidence is not None:
        yield from _of_tests(checked.evidence)
    beyond = checked.beyond
    if breaks := [change.name for change in beyond.api if change.breaks]:
        yield f"Public names that break their callers: {_shown(breaks)}."
    if beyond.behaviours:
        what = _shown(f"{one.kind} {one.what}" for one in beyond.behaviours)
        yield f"It does what base did not: {what}."
    percent = beyond.coverage.percent if beyond.coverage is not None else None
    if percent is not None and percent < _FEW_LINES:
        yield f"Tests run {percent:.0f} % of the changed lines."
    if undecided := [speed.name for speed in beyond.speeds if speed.verdict == "undecided"]:
        yield f"Whether it is slower could not be decided: {_shown(undecided)}."
    if skipped := [one for one in beyond.pythons if one.verdict == "skipped"]:
        yield " ".join(f"Python {one.python} was not tried: {one.reason}" for one in skipped)


def _of_tests(evidence: Evidence) -> Iterator[str]:
    if not evidence.tests:
        yield "No test of it was run."
    for suspect in evidence.suspects:
        yield sentence_of(suspect)
    flaky = evidence.of("flaky")
    fresh = tuple(test for test in flaky if _fails_since(test))
    yield from _listed("Passed at base each time, and fail at times at head", fresh)
    others = tuple(test for test in flaky if test not in fresh)
    yield from _listed("Do not always come out alike", others)
    yield from _listed("Skipped at head and not at base", evidence.of("newly_skipped"))
    yield from _listed("Base has them and head has not", evidence.of("removed"))
    changed = [
        test
        for test in evidence.tests
        if test.base in _HELD
        and test.head_with_base in _BROKE
        and (test.head in _HELD or test.instead)
    ]
    yield from _listed("Expect something else than at base", changed)
    if not evidence.of("fail_to_pass_strong", "fail_to_pass_weak"):
        new = evidence.of("new_but_pass_at_base")
        yield from _listed("No new test fails without the change, so they prove nothing", new)
    yield from _listed("Written as tests but never collected", evidence.of("not_collected"))


def _fails_since(test: TestEvidence) -> bool:
    """Whether a flaky test is so since the pull request, as far as its runs tell."""
    base, head = (set(test.outcomes.get(side, ())) for side in ("base", "head"))
    return bool(base) and base <= _HELD and bool(head & _BROKE)


def sentence_of(suspect: Suspect) -> str:
    """A suspect for a person: where, what, and how it was judged."""
    where = f"{suspect.path}:{suspect.line}" if suspect.line else suspect.path
    judged = f" Judged {suspect.judged}." if suspect.judged else ""
    said = suspect.detail or suspect.what.replace("_", " ")
    return f"{where}: {said.rstrip('.')}.{judged}"


def _listed(what: str, tests: Sequence[TestEvidence]) -> Iterator[str]:
    if tests:
        yield f"{what} ({len(tests)}): {_shown(test.id for test in tests)}."


def _shown(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
