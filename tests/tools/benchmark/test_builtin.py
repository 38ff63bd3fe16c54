"""The built-in tasks: every reference passes, every wrong solution is rejected for what it gives."""

import pytest
from judging import judge_all

from proofbox.server.programs import OpenSandbox
from proofbox.tools.benchmark_model.builtin import builtin_tasks
from proofbox.tools.benchmark_model.sample import Candidate


def test_every_task_says_what_it_probes_and_has_wrong_solutions() -> None:
    """At least 40 tasks of five degrees at most, each with two wrong solutions or more, all different."""
    tasks = builtin_tasks()

    assert len(tasks) >= 40
    assert {task.difficulty for task in tasks.values()} >= {1, 2, 3, 4}
    for task in tasks.values():
        codes = {task.reference, *(wrong.code for wrong in task.wrong)}
        assert len(codes) == len(task.wrong) + 1 >= 3, task.id
        assert task.note
        assert "\n" not in task.note
        assert task.entry_point in task.prompt
        assert sum(len(case.checks) for case in task.cases) >= 4, task.id


def test_nothing_that_is_expected_goes_to_the_answer() -> None:
    """What runs beside an answer has the calls only; the expected values stay on our side."""
    task = builtin_tasks()["run_length"]

    (case,) = task.cases
    assert "run_length('aaab')" in case.code
    assert "3ab" not in case.code
    assert case.checks[0].expected == "3ab"
    assert case.checks[0].relation == "strict"


@pytest.mark.slow
async def test_references_pass_and_wrong_solutions_fail_as_they_should(
    open_sandbox: OpenSandbox,
) -> None:
    """Each with the outcome that its author marked; none is suspicious."""
    tasks = builtin_tasks()
    wanted = {
        Candidate(task.id, "reference" if not number else "wrong", number, code): outcome
        for task in tasks.values()
        for number, (code, outcome) in enumerate(
            [(task.reference, "passed"), *((wrong.code, wrong.outcome) for wrong in task.wrong)]
        )
    }

    judgements = await judge_all(list(wanted), tasks, open_sandbox)

    for judgement in judgements:
        candidate = judgement.candidate
        named = (candidate.task_id, candidate.sample)
        assert (named, judgement.outcome) == (named, wanted[candidate]), judgement.reason
        assert judgement.flags == ()
        assert judgement.method == "compared"
