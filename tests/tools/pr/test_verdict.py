"""The rules by which a pull request passes or fails."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from proofbox.tools.check_pr.beyond.beyond import (
    Beyond,
    ChangeCoverage,
    ChangedLines,
    OnPython,
    Speed,
)
from proofbox.tools.check_pr.checked import Checked
from proofbox.tools.check_pr.evidence.evidence import Evidence, Suspect, TestEvidence
from proofbox.tools.check_pr.pull.pull import Change, Pull, Tree
from proofbox.tools.check_pr.verdict import decide
from proofbox.tools.check_pr.words import Kind
from proofbox.tools.run_generated_tests.outcome import Outcome
from proofbox.tools.run_generated_tests.project import Kept

TREE = Tree("c", datetime(2026, 1, 1, tzinfo=UTC), {})
PULL = Pull("main...feature", TREE, TREE, changes=(Change("a.py", "a.py", "modified", (1,), (1,)),))
SLOWER = Speed("bench", "slower", 1.3, 1.2, 1.4, 20, 0.001, 0.9)


def one(kind: Kind, **more: Any) -> TestEvidence:
    """A test of this kind."""
    return TestEvidence(f"tests/test_a.py::test_{kind}", kind, **more)


def evidence(*tests: TestEvidence, **more: Any) -> Evidence:
    """Evidence whose counts add up."""
    return Evidence(tests, Counter(test.kind for test in tests), **more)


def checked(found: Evidence | None = None, **more: Any) -> Checked:
    """A project with a change."""
    return Checked("", PULL, evidence=found, **more)


HELD = one("pass_to_pass", base="passed", head="passed")


@pytest.mark.parametrize(
    ("project", "verdict", "says"),
    [
        (checked(evidence(HELD)), "passed", "none that held at base broke"),
        (checked(evidence(HELD, one("fail_to_pass_strong"))), "passed", "1 failed at base"),
        (
            checked(
                evidence(
                    HELD, selected="1 of 20 test files. The other 19 were not run.", partial=True
                )
            ),
            "passed",
            "of those that were run, none that held at base broke. 1 of 20",
        ),
        (checked(evidence(HELD, one("pass_to_fail"))), "failed", "test_pass_to_fail"),
        (checked(evidence(HELD, one("new_and_fails"))), "failed", "New tests that fail"),
        (
            checked(evidence(HELD, one("unknown", why="It lacks x"))),
            "errored",
            "test_unknown. It lacks x.",
        ),
        (checked(evidence(HELD, problems=("The sandbox was lost.",))), "errored", "was lost"),
        (checked(evidence(HELD), problems=("No index.",)), "errored", "No index"),
        (checked(evidence(HELD), failures=("a and b conflict.",)), "failed", "conflict"),
        (checked(evidence(HELD, regressions=("It has no tests.",))), "failed", "no tests"),
        (checked(evidence(one("fail_to_fail"))), "errored", "fail at base too"),
        (checked(evidence(HELD, one("fail_to_fail"))), "passed", "1;"),
        (checked(evidence()), "skipped", "No test was run"),
        (checked(None), "skipped", "No test was run"),
        (checked(evidence(one("skipped"), one("removed"))), "skipped", "No test passed"),
        (checked(evidence(one("flaky"))), "skipped", "flaky"),
        (checked(Evidence((HELD,), {})), "errored", "do not add up"),
        (checked(evidence(HELD), beyond=Beyond(speeds=(SLOWER,))), "failed", "1.30 times"),
        (
            checked(
                evidence(HELD),
                beyond=Beyond(pythons=(OnPython("3.9", "failed", "test_a fails."),)),
            ),
            "failed",
            "On Python 3.9",
        ),
        (
            checked(
                evidence(HELD),
                beyond=Beyond(pythons=(OnPython("3.9", "errored", "It was lost."),)),
            ),
            "errored",
            "On Python 3.9",
        ),
    ],
)
def test_a_verdict_follows_from_what_was_found(project: Checked, verdict: str, says: str) -> None:
    """Regressions first, then what could not be decided, then whether anything ran at all."""
    decision = decide([project])

    assert decision.verdict == verdict
    assert says in decision.reason


@pytest.mark.parametrize("how", ["failed", "timed_out", "ended"])
@pytest.mark.parametrize("kind", ["removed", "newly_skipped", "not_collected"])
def test_a_test_that_is_taken_back_since_it_fails_is_a_failure(kind: Kind, how: Outcome) -> None:
    """What it checks held at base and does not at head, whatever became of the test."""
    taken = one(kind, base="passed", head_with_base=how)
    harmless = one(kind, base="passed", head_with_base="passed")
    gone = one(kind, base="passed", head_with_base="error")

    assert decide([checked(evidence(HELD, taken))]).verdict == "failed"
    assert decide([checked(evidence(HELD, harmless))]).verdict == "passed"
    assert decide([checked(evidence(HELD, gone))]).verdict == "passed"
    assert decide([checked(evidence(HELD, gone))]).needs_review


@pytest.mark.parametrize("back", [None, "skipped", "xfailed"])
@pytest.mark.parametrize("kind", ["newly_skipped", "not_collected"])
def test_a_test_that_only_the_code_takes_back_is_undecided(
    kind: Kind, back: Outcome | None
) -> None:
    """It is as base has it, and passed there; whether what it checks still holds is not known."""
    silent = one(kind, base="passed", head_with_base=back)
    never = one(kind, base=None, head_with_base=back)

    decision = decide([checked(evidence(HELD, silent))])

    assert decision.verdict == "errored"
    assert f"even as base has them (1): {silent.id}" in decision.reason
    assert decide([checked(evidence(HELD, never))]).verdict == "passed"


def test_parameters_that_expect_something_else_are_a_persons_matter() -> None:
    """Those of base are gone and fail at head; those of head fail at base."""
    gone = one("removed", base="passed", head_with_base="failed", instead=("test_a.py::test_a[2]",))

    decision = decide([checked(evidence(HELD, gone))])

    assert decision.verdict == "passed"
    assert "Expect something else" in " ".join(decision.needs_review)


def test_a_weakened_assertion_is_a_failure_only_if_the_strong_one_fails() -> None:
    """A test that expects something else than before is a person's matter."""
    changed = one(
        "pass_to_pass", base="passed", head="passed", head_with_base="failed", file="t.py", line=3
    )
    weakened = Suspect("assertion_weakened", "t.py", 3)

    assert decide([checked(evidence(changed))]).verdict == "passed"
    assert "Expect something else" in " ".join(decide([checked(evidence(changed))]).needs_review)
    assert decide([checked(evidence(changed, suspects=(weakened,)))]).verdict == "failed"


def test_what_hides_failures_never_passes() -> None:
    """However many tests came out green."""
    hiding = Suspect("hides_failures", "conftest.py", 2, "It rewrites outcomes.", "with base's")

    decision = decide([checked(evidence(HELD, suspects=(hiding,)))])

    assert decision.verdict == "failed"
    assert "conftest.py:2: It rewrites outcomes. Judged with base's." in decision.needs_review


def test_a_failure_in_one_project_is_not_outweighed_by_another() -> None:
    """Each folder of a monorepo is named where it is meant."""
    good = checked(evidence(HELD))
    bad = Checked("packages/b", PULL, evidence=evidence(one("pass_to_fail")))
    untested = Checked("packages/c", PULL, evidence=evidence())

    assert decide([good, bad]).verdict == "failed"
    assert decide([good, bad]).reason.startswith("packages/b: ")
    assert decide([good, untested]).verdict == "passed"
    assert decide([good, untested]).needs_review == ("packages/c: No test of it was run.",)


def test_what_does_not_fail_can_still_need_a_review() -> None:
    """Little coverage, and new tests that prove nothing about the change."""
    coverage = ChangeCoverage((ChangedLines("a.py", (1,), (2, 3, 4)),))
    found = evidence(HELD, one("new_but_pass_at_base"))

    decision = decide([checked(found, beyond=Beyond(coverage=coverage))])

    assert decision.verdict == "passed"
    assert "25 %" in " ".join(decision.needs_review)
    assert "prove nothing" in " ".join(decision.needs_review)


def test_a_test_that_fails_at_times_since_the_change_is_told_apart() -> None:
    """From one that did so before."""
    steady, both = {"base": ("passed",) * 4}, {"base": ("passed", "failed")}
    head = {"head": ("passed", "failed", "passed")}

    since = decide([checked(evidence(HELD, one("flaky", outcomes=steady | head)))])
    before = decide([checked(evidence(HELD, one("flaky", outcomes=both | head)))])

    assert since.needs_review[0].startswith("Passed at base each time, and fail at times at head")
    assert before.needs_review[0].startswith("Do not always come out alike")


def test_an_empty_difference_is_nothing_to_judge() -> None:
    """It is no pass."""
    decision = decide([Checked("", Pull("main...main", TREE, TREE))])

    assert decision.verdict == "skipped"
    assert "Nothing is changed" in decision.reason


@pytest.mark.parametrize(
    ("path", "verdict"), [("tests/test_new.py", "errored"), (".env", "passed")]
)
def test_changed_code_that_no_sandbox_got_is_not_passed_over(path: str, verdict: str) -> None:
    """A test that looks like a secret did not run, and what it would have said is not known."""
    home = Tree("d", TREE.when, {}, (Kept(path, "secret", "It holds a key."),))
    pull = Pull("main...feature", TREE, home, changes=(Change(path, "", "added", (1,)),))

    decision = decide([Checked("", pull, evidence=evidence(HELD))])

    assert decision.verdict == verdict
    assert path in f"{decision.reason} {' '.join(decision.needs_review)}"
