"""Sandboxes that are lost, and answers that are none: nothing is known, and nothing is called a regression."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from pr_pulls import pull_of

from proofbox.server.sandbox import (
    CellResult,
    InvalidInput,
    Program,
    ProgramResult,
    SandboxBusy,
    SandboxError,
    SandboxUnavailable,
)
from proofbox.tools.check_pr.beyond.coverage import change_coverage
from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.evidence.compare import compare
from proofbox.tools.check_pr.evidence.evidence import Evidence, TestEvidence
from proofbox.tools.check_pr.evidence.kinds import GOOD
from proofbox.tools.check_pr.request import PrRequest

PULL = pull_of(
    {"shop.py": "x = 1\n", "tests/test_a.py": "def test_a():\n    pass\n"}, {"shop.py": "x = 2\n"}
)


class Lost:
    """A sandbox that never gives an answer that can be used."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def run_program(self, program: Program) -> ProgramResult:
        await anyio.lowlevel.checkpoint()
        if self._error is not None:
            raise self._error
        cells = (CellResult("out_of_memory"),)
        reason = "It used more memory than it may."
        return ProgramResult(program.id, "out_of_memory", reason, cells)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SandboxUnavailable("The sandbox went away."), "went away"),
        (SandboxBusy("There is no room."), "no room"),
        (InvalidInput("The disk is full."), "disk is full"),
        (None, "more memory"),
    ],
)
async def test_a_sandbox_that_is_lost_is_a_problem_and_no_regression(
    error: Exception | None, said: str
) -> None:
    """Whichever way it is lost, and however often."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Lost]:
        yield Lost(error)

    sides = [Side(tree, Environment(), opened) for tree in (PULL.base, PULL.head)]
    with anyio.fail_after(20):
        evidence = await compare(PULL, sides[0], sides[1], PrRequest("r"))

    assert evidence.problems
    assert all(said in problem for problem in evidence.problems)
    assert not evidence.regressions
    assert not [test for test in evidence.tests if test.kind == "pass_to_fail" or test.head in GOOD]


async def test_a_sandbox_that_cannot_be_opened_is_a_problem() -> None:
    """On one side only: what the other side says stays unjudged."""

    @asynccontextmanager
    async def refused() -> AsyncGenerator[Lost]:
        raise SandboxError("There is no sandbox to be had.")
        yield Lost(None)

    sides = [Side(tree, Environment(), refused) for tree in (PULL.base, PULL.head)]
    passed = TestEvidence("tests/test_a.py::test_a", "pass_to_pass", head="passed")
    with anyio.fail_after(20):
        evidence = await compare(PULL, sides[0], sides[1], PrRequest("r"))
        coverage = await change_coverage(PULL, sides[1], Evidence((passed,)), PrRequest("r"))

    assert "no sandbox to be had" in evidence.problems[0]
    assert not evidence.tests
    assert "no sandbox to be had" in coverage.problem
    assert not coverage.files


async def test_a_project_without_tests_has_no_evidence() -> None:
    """And no problem either; no sandbox is opened for it."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Lost]:
        raise AssertionError("There was nothing to run.")
        yield Lost(None)

    pull = pull_of({"shop.py": "x = 1\n"}, {"README.md": "x\n"})
    sides = [Side(tree, Environment(), opened) for tree in (pull.base, pull.head)]

    evidence = await compare(pull, sides[0], sides[1], PrRequest("r"))

    assert not evidence.tests
    assert not evidence.problems
    assert not evidence.commands
