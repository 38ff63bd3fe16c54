"""The judge on E2B, against the stand-in: shards over several sandboxes, of which one is taken away."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from judging import judge_all
from standin import API_KEY, StandIn

from proofbox.server.sandbox import Program, ProgramResult, ProgramRunner, SandboxRequest
from proofbox.server.sandbox.e2b import E2BBackend, E2BSandbox
from proofbox.tools.benchmark_model.builtin import builtin_tasks
from proofbox.tools.benchmark_model.sample import Candidate


class Killed:
    """A sandbox that E2B takes away before its tenth program."""

    def __init__(self, sandbox: E2BSandbox, standin: StandIn, killed: list[str]) -> None:
        self._sandbox = sandbox
        self._standin = standin
        self._killed = killed
        self._programs = 0

    async def run_program(self, program: Program) -> ProgramResult:
        self._programs += 1
        if self._programs == 10 and not self._killed:
            self._killed.append(self._sandbox.id)
            self._standin.kill(self._sandbox.id)
        return await self._sandbox.run_program(program)


@pytest.mark.slow
async def test_on_e2b_a_lost_sandbox_changes_no_verdict(standin: StandIn) -> None:
    """Every reference passes, every wrong solution gets the outcome that it gets on this machine."""
    backend = E2BBackend(api_key=API_KEY, create_rate=100)
    opened: list[str] = []
    killed: list[str] = []

    @asynccontextmanager
    async def open_sandbox() -> AsyncGenerator[ProgramRunner]:
        sandbox = await backend.create(SandboxRequest(owner="benchmark"))
        opened.append(sandbox.id)
        try:
            yield Killed(sandbox, standin, killed)
        finally:
            await sandbox.close()

    tasks = dict(list(builtin_tasks().items())[:14])
    wanted = {
        Candidate(task.id, "m", number, code): outcome
        for task in tasks.values()
        for number, (code, outcome) in enumerate(
            [(task.reference, "passed"), *((wrong.code, wrong.outcome) for wrong in task.wrong)]
        )
    }

    judgements = await judge_all(list(wanted), tasks, open_sandbox, sandboxes=2)
    await backend.close()

    assert [j.outcome for j in judgements] == list(wanted.values()), [j.reason for j in judgements]
    assert len(killed) == 1
    # The one that was lost, and one in its place; another is opened only where work lasts.
    assert len(opened) >= 2
