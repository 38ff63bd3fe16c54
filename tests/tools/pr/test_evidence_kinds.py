"""What outcomes on both sides mean: one kind for every test, whatever happened to it."""

import itertools
import random
from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import get_args

import pytest
from pr_pulls import pull_of

from proofbox.server.sandbox import ProgramRunner
from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.evidence.ground import ground_of
from proofbox.tools.check_pr.evidence.kinds import BAD, GOOD, Seen, classify
from proofbox.tools.check_pr.evidence.reruns import Again
from proofbox.tools.check_pr.evidence.runs import Told
from proofbox.tools.check_pr.evidence.table import Ran, Table, ordered
from proofbox.tools.check_pr.request import PrRequest
from proofbox.tools.check_pr.words import Kind
from proofbox.tools.run_generated_tests.events import Item, Raised, TestResult
from proofbox.tools.run_generated_tests.outcome import Outcome

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
KINDS: tuple[Kind, ...] = get_args(Kind)


def nowhere() -> AbstractAsyncContextManager[ProgramRunner]:
    """Nothing is run here."""
    raise AssertionError


@pytest.mark.parametrize(
    ("base", "base_with_head", "head", "head_with_base", "kind"),
    [
        ("passed", None, "passed", None, "pass_to_pass"),
        ("passed", None, "failed", None, "pass_to_fail"),
        ("passed", None, "error", None, "pass_to_fail"),
        ("passed", None, "ended", None, "pass_to_fail"),
        ("xfailed", None, "xfailed", None, "pass_to_pass"),
        ("xfailed", None, "failed", None, "pass_to_fail"),
        ("failed", None, "passed", None, "fail_to_pass_strong"),
        ("failed", "error", "passed", None, "fail_to_pass_strong"),
        ("timed_out", None, "passed", None, "fail_to_pass_strong"),
        ("error", None, "passed", None, "fail_to_pass_weak"),
        ("error", "failed", "passed", None, "fail_to_pass_strong"),
        ("failed", None, "failed", None, "fail_to_fail"),
        ("failed", None, "skipped", None, "skipped"),
        ("failed", None, "xfailed", None, "skipped"),
        ("passed", None, "skipped", "failed", "newly_skipped"),
        ("passed", "passed", "xfailed", "failed", "newly_skipped"),
        ("passed", "passed", "passed", "failed", "pass_to_pass"),
        ("passed", "failed", "passed", "failed", "fail_to_pass_strong"),
        ("passed", "error", "passed", "passed", "pass_to_pass"),
        ("skipped", None, "skipped", None, "skipped"),
        ("skipped", None, "passed", None, "pass_to_pass"),
        ("skipped", "failed", "passed", None, "fail_to_pass_strong"),
        ("skipped", "passed", "failed", None, "pass_to_fail"),
        ("skipped", "failed", "failed", None, "fail_to_fail"),
        ("skipped", None, "failed", None, "new_and_fails"),
        (None, "failed", "passed", None, "fail_to_pass_strong"),
        (None, "error", "passed", None, "fail_to_pass_weak"),
        (None, None, "passed", None, "fail_to_pass_weak"),
        (None, "passed", "passed", None, "new_but_pass_at_base"),
        (None, "skipped", "passed", None, "new_but_pass_at_base"),
        (None, "passed", "failed", None, "new_and_fails"),
        (None, "failed", "xfailed", None, "skipped"),
        ("passed", None, None, "failed", "removed"),
    ],
)
def test_outcomes_have_a_meaning(
    base: Outcome | None,
    base_with_head: Outcome | None,
    head: Outcome | None,
    head_with_base: Outcome | None,
    kind: Kind,
) -> None:
    """The rules, case by case."""
    seen = Seen(
        base,
        base_with_head,
        head,
        head_with_base,
        at_base=base is not None,
        at_head=head is not None,
    )

    assert classify(seen)[0] == kind


def test_an_example_in_changed_code_proves_nothing() -> None:
    """It cannot be tried without the code that it stands in, so it is not said to have failed at base."""
    assert classify(Seen(head="passed", at_head=True, in_code=True))[0] == "new_but_pass_at_base"
    assert (
        classify(Seen(head="passed", at_head=True, base_with_head="error"))[0]
        == "fail_to_pass_weak"
    )


def test_every_combination_of_outcomes_has_one_kind_that_they_allow() -> None:
    """Nothing is a regression or a proof that the outcomes do not bear out."""
    every: tuple[Outcome | None, ...] = (None, *OUTCOMES)
    tried = 0
    for base, mixed, head, back in itertools.product(every, repeat=4):
        for at_base, at_head in itertools.product((False, True), repeat=2):
            seen = Seen(base, mixed, head, back, at_base=at_base, at_head=at_head)
            kind, _ = classify(seen)
            tried += 1
            assert kind in KINDS
            if kind in {"pass_to_fail", "new_and_fails", "fail_to_fail"}:
                assert head in BAD
            if kind == "pass_to_fail":
                assert at_base
                assert base not in BAD
            if kind.startswith("fail_to_pass") or kind == "new_but_pass_at_base":
                assert head in GOOD - {"xfailed"}
            if kind == "pass_to_pass":
                assert head in GOOD
                assert base not in BAD
            if head in BAD and at_head and (base is not None or not at_base):
                assert kind in {"pass_to_fail", "new_and_fails", "fail_to_fail", "unknown"}
            assert classify(Seen(base, mixed, head, back, varies=True))[0] == "flaky"
            assert classify(Seen(base, mixed, head, back, doubt="It was lost"))[0] == "unknown"
    assert tried == 40_000


NAMES = [f"{file}::test_{number}" for file in ("tests/test_a.py", "tests/test_b.py", "tests/test_c.py") for number in range(6)]  # fmt: skip


def told(draw: random.Random) -> Told:
    """What some run may have come to."""
    found = Told(whole=draw.random() < 0.8)
    for name in NAMES:
        file = name.partition("::")[0]
        if draw.random() < 0.7:
            found.items[name] = Item(name, file, draw.randint(1, 50), "test")
            if draw.random() < 0.9:
                found.results[name] = TestResult(name, draw.choice(OUTCOMES))
            elif draw.random() < 0.5:
                found.lose([name], "The sandbox was lost.")
    for file in ("tests/test_b.py", "tests/test_c.py"):
        if draw.random() < 0.3:
            for name in [one for one in found.items if one.startswith(file)]:
                del found.items[name]
                found.results.pop(name, None)
            raised = Raised("ImportError", "no such name")
            draw.choice([found.not_collected, found.ended_in])[file] = raised
    found.problems += [] if found.whole else ["The sandbox was lost."]
    return found


def test_counts_add_up_whatever_the_runs_came_to() -> None:
    """Every test that any side found is in the table once, and every kind is one that there is."""
    files = {"tests/test_a.py": "", "tests/test_b.py": "", "tests/test_c.py": "", "a.py": ""}
    pull = pull_of(files, {"tests/test_b.py": "import a\n", "a.py": "x = 1\n"})
    base, head = (Side(tree, Environment(), nowhere) for tree in (pull.base, pull.head))
    ground = ground_of(pull, base, head, PrRequest("r"))
    draw = random.Random(5)
    for _ in range(400):
        ran = Ran(told(draw), told(draw), told(draw), told(draw))
        table = Table(ground, ran)
        again = Again()
        for where in again.outcomes:
            again.outcomes[where] = {
                name: draw.choices(OUTCOMES, k=2) for name in NAMES if draw.random() < 0.2
            }
        table.with_reruns(again)

        tests = ordered(table.test(name) for name in table.names)

        assert len({test.id for test in tests}) == len(tests)
        assert sum(Counter(test.kind for test in tests).values()) == len(tests)
        assert {test.kind for test in tests} <= set(KINDS)
        found = {test.id for test in tests}
        assert ran.base.ids | ran.head.ids <= found
        files_seen = {name.partition("::")[0] for name in found}
        assert ran.base.silent | ran.head.silent <= files_seen


def test_a_test_that_is_written_on_both_sides_does_not_vanish() -> None:
    """What is deselected behind pytest's back, or no longer defined, is no removed test."""
    file = "import a\nif a.x:\n    def test_a():\n        assert a.x\ndef test_b():\n    assert 1\n"
    files = {"tests/test_a.py": file, "tests/test_b.py": file, "a.py": ""}
    deleted = file.partition("def test_b")[0] + "x = 1\n"
    pull = pull_of(files, {"tests/test_b.py": deleted, "a.py": "x = 1\n"})
    base, head = (Side(tree, Environment(), nowhere) for tree in (pull.base, pull.head))
    there = {f"tests/test_{one}.py::test_{name}" for one in "ab" for name in "ab"}
    told = [
        Told(
            items={name: Item(name, name.partition("::")[0], 1, "test") for name in names},
            results={name: TestResult(name, "passed") for name in names},
        )
        for names in (there, {"tests/test_a.py::test_b"})
    ]
    ran = Ran(told[0], Told(), told[1], told[1])
    table = Table(ground_of(pull, base, head, PrRequest("r")), ran)

    found = {name.rpartition("/")[2]: table.test(name).kind for name in table.names}

    assert found == {
        "test_a.py::test_a": "not_collected",
        "test_a.py::test_b": "pass_to_pass",
        "test_b.py::test_a": "unknown",
        "test_b.py::test_b": "unknown",
    }
