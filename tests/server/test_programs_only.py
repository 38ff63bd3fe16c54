"""Sandboxes that are asked for programs only."""

from pathlib import Path

import pytest
from fakes import FakeBackend

from proofbox.server.sandbox import Cell, InvalidInput, Program, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.sessions import SessionManager


async def test_no_session_is_started_for_who_runs_programs_only(local_cache: Path) -> None:
    """A session's jail imports numpy and pandas, which costs more than a hundred programs."""
    backend = LocalBackend(cache_dir=local_cache)
    try:
        sandbox = await backend.create(SandboxRequest(owner="somebody", programs_only=True))
        before = backend.limits_held()
        ran = await sandbox.run_program(Program("sum", (Cell("1 + 1"),)))
        with pytest.raises(InvalidInput, match="programs only"):
            await sandbox.run_code("1 + 1")
    finally:
        await backend.close()

    assert before == {}, "there was a jail before there was a program"
    assert [cell.value for cell in ran.cells] == ["2"]


async def test_a_lease_says_that_it_is_for_programs_only() -> None:
    """And no sandbox that waits for a session is taken for it."""
    backend = FakeBackend()
    async with (
        SessionManager(backend) as sessions,
        sessions.lease_once("me", purpose="tests", programs_only=True),
    ):
        pass

    assert [each.request.programs_only for each in backend.created] == [True]
