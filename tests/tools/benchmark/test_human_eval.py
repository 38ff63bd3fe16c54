"""HumanEval: canonical solutions pass, also on a busy machine, and recorded answers get their recorded verdicts.

The data is in `tests/data/human_eval` with its licence. Recorded answers of models are not part of this
repository; `PROOFBOX_RECORDED_ANSWERS` names a folder with them (`*.jsonl.gz`, rows with `task_id`, `kind`, `text`,
`recorded` and `measured`).
"""

import gzip
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from judging import judge_all

from proofbox.server.programs import OpenSandbox
from proofbox.tools.benchmark_model.sample import Candidate
from proofbox.tools.benchmark_model.task import Task
from proofbox.tools.benchmark_model.tasks import load_tasks

DATA = Path(__file__).parents[2] / "data" / "human_eval" / "HumanEval.jsonl.gz"
RECORDED = os.environ.get("PROOFBOX_RECORDED_ANSWERS", "")
NAMES_NEVER_DEFINED = {
    "HumanEval/133": "math",
    "HumanEval/143": "is_prime",
    "HumanEval/150": "is_prime",
}


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    """All 164."""
    loaded = load_tasks(DATA)
    assert len(loaded) == 164
    return loaded


def _work(end: Any) -> None:
    while not end.is_set():
        sum(range(10_000))


@contextmanager
def all_cores_busy() -> Generator[None]:
    """Another process a core that computes all the time."""
    context = multiprocessing.get_context("spawn")
    end = context.Event()
    workers = [context.Process(target=_work, args=(end,)) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    yield
    end.set()
    for worker in workers:
        worker.join()


def test_nearly_all_tests_are_data(tasks: dict[str, Task]) -> None:
    """What is expected stays outside of the answer's process; the rest is replayed in one of its own."""
    taken_apart = [task for task in tasks.values() if task.cases]

    assert len(taken_apart) == 156
    assert tasks["HumanEval/38"].needs == ("encode_cyclic",)


@pytest.mark.slow
async def test_canonical_solutions_pass_five_times_in_a_row(
    tasks: dict[str, Task], open_sandbox: OpenSandbox
) -> None:
    """164 of 164, the last time while all cores are busy."""
    for busy in (False, False, False, False, True):
        candidates = [Candidate(task.id, "canonical", 0, task.reference) for task in tasks.values()]
        if busy:
            with all_cores_busy():
                judgements = await judge_all(candidates, tasks, open_sandbox)
        else:
            judgements = await judge_all(candidates, tasks, open_sandbox)

        failed = [j.candidate.task_id + ": " + j.reason for j in judgements if not j.passed]
        assert failed == []
        methods = Counter(judgement.method for judgement in judgements)
        assert methods == {"compared": 156, "replayed": 8}


@pytest.mark.slow
@pytest.mark.skipif(not RECORDED, reason="PROOFBOX_RECORDED_ANSWERS names no folder")
@pytest.mark.parametrize(
    ("name", "passes", "leaks"),
    [
        ("reflexion_gpt-4_humaneval", 150, {}),
        ("ldb_humaneval_gpt-3.5-turbo-0613", 121, {}),
        ("reflexion_simple_text-davinci-003_humaneval", 93, NAMES_NEVER_DEFINED),
    ],
)
async def test_recorded_answers_get_their_recorded_verdicts(
    tasks: dict[str, Task], open_sandbox: OpenSandbox, name: str, passes: int, leaks: dict[str, str]
) -> None:
    """Item by item, but for names that a recording harness had left over from earlier answers."""
    text = gzip.decompress((Path(RECORDED) / f"{name}.jsonl.gz").read_bytes()).decode()
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    candidates = [
        Candidate(row["task_id"], name, number, _program(tasks[row["task_id"]], row))
        for number, row in enumerate(rows)
    ]

    judgements = await judge_all(candidates, tasks, open_sandbox)

    assert sum(judgement.passed for judgement in judgements) == passes
    seen: dict[str, str] = {}
    for row, judgement in zip(rows, judgements, strict=True):
        if judgement.passed != row["recorded"]:
            seen[row["task_id"]] = judgement.reason
    assert seen.keys() == leaks.keys()
    for task_id, missing in leaks.items():
        assert "NameError" in seen[task_id]
        assert f"name '{missing}' is not defined" in seen[task_id]


def _program(task: Task, row: dict[str, Any]) -> str:
    if row["kind"] == "completion":
        return task.prompt + row["text"]
    return task.header + row["text"]
