"""Records are believed only if they add up, and only what they say is believed."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from proofbox.tools.run_generated_tests.events import Probe, TestRun
from proofbox.tools.run_generated_tests.story import read

ONE, TWO = "test_it.py::test_one", "test_it.py::test_two"
FAILING = Probe("test_f00", "failing", 0.5, 0, 7)
PASSING = Probe("test_b42", "passing", 0.5, 0, 7)
ITEM = {"file": "test_it.py", "line": 1, "name": "test", "class": "", "kind": "Function"}

Record = dict[str, Any]


def phase(name: str, when: str, outcome: str = "passed", **more: Any) -> Record:
    """A phase that is over."""
    fields = {"seconds": 0.1, "raised": None, "assertions": 0, **more}
    return {"t": "phase", "id": name, "when": when, "outcome": outcome, **fields}


def ran(name: str, outcome: str = "passed", **more: Any) -> list[Record]:
    """A test that ran to its end."""
    return [
        {"t": "start", "id": name},
        phase(name, "setup"),
        phase(name, "call", outcome, **more),
        phase(name, "teardown"),
    ]


def failed(name: str) -> list[Record]:
    """A test that failed as it should."""
    error: Record = {"type": "AssertionError", "message": "assert 1 == 2", "frames": [], "name": ""}
    return ran(name, "failed", raised="AssertionError", error=error)


def story(*tests: list[Record], names: list[str], status: int = 1, end: bool = True) -> Record:
    """A driver's answer about a run of these tests."""
    found = [{"id": name, **ITEM} for name in (ONE, TWO)]
    records: list[Record] = [
        {"t": "begin", "python": "3.11.7", "pytest": "9.2.0"},
        {"t": "importing", "file": "test_it.py"},
        {"t": "found", "items": found},
        {"t": "collected", "ids": names},
        *[record for test in tests for record in test],
    ]
    records += [{"t": "finish", "status": status}] if end else []
    return {"how": "ended", "status": status, "records": records, "broken": "", "changed": []}


def run_of(answer: Mapping[str, Any], *probes: Probe) -> TestRun:
    """What comes of it after a way through JSON."""
    return read(json.loads(json.dumps(answer)), probes)


def test_a_run_that_adds_up_is_complete() -> None:
    """Our own tests are not among the results."""
    probe = "test_it.py::test_f00"

    run = run_of(
        story(ran(ONE), failed(probe), failed(TWO), names=[ONE, probe, TWO]), FAILING, PASSING
    )

    assert run.complete, run.problems
    assert {name: test.outcome for name, test in run.tests.items()} == {
        ONE: "passed",
        TWO: "failed",
    }
    assert run.tests[TWO].error is not None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (story(ran(ONE), names=[ONE], end=False), "ended with exit code 1 before pytest was done"),
        (story(ran(ONE), names=[ONE, TWO]), "1 of 2 tests were not run to their end"),
        (story(ran(ONE), ran(ONE), names=[ONE]), "not chosen, more than once"),
        (story(ran(TWO), ran(ONE), names=[ONE, TWO]), "out of their order"),
        (story(ran(ONE), ran(TWO), names=[ONE]), "not chosen"),
        (story(ran(ONE)[:2], names=[ONE]), "1 of 1 tests were not run"),
        (story(ran(ONE, raised="ValueError"), names=[ONE]), "raised ValueError and was reported as passed"),
        ({**story(ran(ONE), names=[ONE]), "status": 0}, "another exit code"),
        ({**story(ran(ONE), names=[ONE]), "broken": "rubbish"}, "tampered with"),
        ({**story(ran(ONE), names=[ONE]), "how": "too_much"}, "no usable answer"),
        ({"how": "stuck", "status": -9, "records": []}, "did not end in the time"),
        ({"how": "ended", "status": -11, "records": []}, "killed by signal 11"),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_never_complete(answer: Record, said: str) -> None:
    """And it says why."""
    run = run_of(answer)

    assert not run.complete
    assert any(said in problem for problem in run.problems), run.problems


def test_a_suite_that_hides_failures_is_caught_by_a_test_that_must_fail() -> None:
    """So is one that makes everything fail."""
    probe, other = "test_it.py::test_f00", "test_it.py::test_b42"

    hides = run_of(story(ran(ONE), ran(probe), names=[ONE, probe]), FAILING)
    breaks = run_of(story(ran(ONE), failed(other), names=[ONE, other]), PASSING)

    assert hides.problems == ("A test that must fail did not: the suite hides failures.",)
    assert breaks.problems[0].startswith("A test that must pass did not")


def test_of_a_suite_that_rewrites_outcomes_a_few_are_named_and_none_of_ours() -> None:
    """Nobody knows the tests that must fail."""
    probe, names = "test_it.py::test_f00", [f"test_it.py::test_{n}" for n in range(5)]
    rewritten = [ran(name, raised="KeyError") for name in [*names, probe]]

    problems = run_of(story(*rewritten, names=[*names, probe]), FAILING).problems

    assert problems == (
        *(f"{name} raised KeyError and was reported as passed." for name in names[:3]),
        "2 more tests raised and were reported as passed.",
        "A test that must fail did not: the suite hides failures.",
    )


def test_the_test_in_which_a_run_ended_is_its_culprit() -> None:
    """With what became of it, and of those after it."""
    left = run_of(story(ran(ONE), ran(TWO)[:2], names=[ONE, TWO], end=False))
    hung = run_of({**story(ran(ONE)[:1], names=[ONE, TWO], end=False), "how": "stuck"})
    at_import = run_of(
        {"how": "ended", "status": 0, "records": [{"t": "importing", "file": "a.py"}]}
    )

    assert (left.culprit, left.tests[TWO].outcome) == (TWO, "ended")
    assert (hung.culprit, hung.tests[ONE].outcome, hung.tests[TWO].outcome) == (
        ONE, "timed_out", "not_run",
    )  # fmt: skip
    assert at_import.culprit == "a.py"


def test_skips_expected_failures_and_subtests_are_told_apart() -> None:
    """None of them is a pass but a test that passed."""
    skipped = [
        {"t": "start", "id": ONE},
        phase(ONE, "setup", "skipped", raised="Skipped", skip="no"),
        phase(ONE, "teardown"),
    ]
    error: Record = {"type": "AssertionError", "message": "1 != 2", "frames": [], "name": ""}
    subtest: Record = {
        "t": "subtest",
        "id": TWO,
        "when": "call",
        "outcome": "failed",
        "subtest": "i=1",
        "error": error,
    }
    two = ran(TWO)
    two.insert(2, subtest)

    first = run_of(story(skipped, two, names=[ONE, TWO]))
    xfailed = run_of(story(ran(ONE, "skipped", raised="AssertionError", xfail="bug"), names=[ONE]))
    xpassed = run_of(story(ran(ONE, "passed", xfail="bug"), names=[ONE]))

    assert first.complete, first.problems
    assert (first.tests[ONE].outcome, first.tests[ONE].reason) == ("skipped", "no")
    assert first.tests[TWO].outcome == "failed"
    assert first.tests[TWO].error is not None
    assert xfailed.tests[ONE].outcome == "xfailed"
    assert xpassed.tests[ONE].outcome == "xpassed"


def test_a_process_that_does_not_even_begin_says_why() -> None:
    """What it wrote last is all that there is to go by."""
    words = "Traceback (most recent call last):\n\x1b[31mModuleNotFoundError: No module named 'pytest'\n"
    answer: Record = {"how": "ended", "status": 1, "records": [], "broken": "", "stderr": words}

    run = run_of(answer)

    assert not run.complete
    assert run.problems[0].endswith("It said: ModuleNotFoundError: No module named 'pytest'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ERROR: unrecognized arguments: --ds=x\n  inifile: None\n  rootdir: /x\n", "--ds=x"),
        ("Traceback\nE   ModuleNotFoundError: No module named 'a'\n", "No module named 'a'"),
        ("\n", ""),
    ],
)
def test_pytest_that_does_not_collect_says_why(words: str, said: str) -> None:
    """A configuration or a conftest.py that it refuses is told with what it said of it."""
    records: list[Record] = [
        {"t": "begin", "python": "3.11.7", "pytest": "9.2.0"},
        {"t": "finish", "status": 4},
    ]
    answer: Record = {
        "how": "ended",
        "status": 4,
        "records": records,
        "broken": "",
        "stderr": words,
    }

    [problem] = run_of(answer).problems

    assert problem.startswith("Pytest ended before it had collected anything.")
    assert problem.endswith(said or "anything.")
    assert ("It said: " in problem) is bool(said)
