"""Judging a list, for tests."""

from collections.abc import Mapping, Sequence

import anyio

from proofbox.server.programs import OpenSandbox
from proofbox.tools.benchmark_model.judging import judge
from proofbox.tools.benchmark_model.sample import Candidate, Judgement
from proofbox.tools.benchmark_model.task import Task


async def judge_all(
    candidates: Sequence[Candidate],
    tasks: Mapping[str, Task],
    open_sandbox: OpenSandbox,
    *,
    timing_runs: int = 1,
    sandboxes: int = 1,
) -> list[Judgement]:
    """The judgements in the order of the candidates, one for each."""
    judged: dict[Candidate, Judgement] = {}
    with anyio.fail_after(300):
        async with judge(
            candidates, tasks, open_sandbox, timing_runs=timing_runs, sandboxes=sandboxes
        ) as judgements:
            async for judgement in judgements:
                assert judgement.candidate not in judged
                judged[judgement.candidate] = judgement
    return [judged[candidate] for candidate in candidates]
