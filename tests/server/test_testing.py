"""proofbox.server.testing: what suites and scripts of others get."""

import logging
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import FakeBackend
from mcp.types import CallToolResult

from proofbox.server.testing import Proofbox, ToolRefused, connected
from proofbox.server.values import SettingsError

DOCUMENT = '```json\n{"a": 1}\n```\n\n```json\n{"a": 1\n```\n'
ENDLESS = "```python\nwhile True:\n    pass\n```\n"


@pytest.fixture
async def client(backend: FakeBackend) -> AsyncGenerator[Proofbox]:
    """A client over sandboxes that behave."""
    async with connected(backend=backend) as client:
        yield client


async def test_a_call_gives_the_tools_own_report(client: Proofbox) -> None:
    """Whatever its verdict is, with what belongs to it."""
    report = await client.call("execute_code", code="x = 6 * 7\nx")
    broken = await client.call("execute_code", code="x / 0", session_id=report.session_id)
    nothing = await client.call("execute_code", code="")
    closed = await client.call("close_session", session_id=report.session_id)

    assert (report.verdict, report.value) == ("passed", "42")
    assert broken.error is not None
    assert (broken.verdict, broken.error.name) == ("failed", "ZeroDivisionError")
    assert nothing.verdict == "skipped"
    assert closed.closed == report.session_id


async def test_what_a_block_raises_comes_out_as_it_is(backend: FakeBackend) -> None:
    """Not in a group of the client's own."""
    with pytest.raises(ToolRefused, match="cod"):
        async with connected(backend=backend) as client:
            await client.call("execute_code", cod="1")


async def test_what_is_no_report_is_never_taken_for_one(client: Proofbox) -> None:
    """A refusal is raised with what the tool says."""
    with pytest.raises(ToolRefused, match="cod.*code"):
        await client.call("execute_code", cod="1")
    with pytest.raises(ToolRefused, match="session"):
        await client.call("close_session", session_id="nobody's")
    with pytest.raises(ValueError, match="read_artifact gives no report: use call_tool"):
        await client.call("read_artifact", session_id="x", name="y")  # pyright: ignore[reportCallIssue, reportArgumentType]


async def test_code_runs_here_and_jobs_are_waited_for(
    local_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a real jail, whatever key is there; the report of a job is that of its tool, or there is none."""
    monkeypatch.setenv("E2B_API_KEY", "e2b_0000000000000000000000000000000000000000")

    with anyio.fail_after(60):
        async with connected(cache_dir=local_cache, data_dir=tmp_path) as client:
            report = await client.call("validate_snippets", text=DOCUMENT, wait_seconds=0)
            assert report.job is not None
            job = await client.call("get_job", job_id=report.job.job_id)
            call_tool = client.call_tool

            async def cancelling(tool: str, arguments: dict[str, Any]) -> CallToolResult:
                if tool == "get_job":
                    await call_tool(tool, {**arguments, "cancel": True})
                return await call_tool(tool, arguments)

            monkeypatch.setattr(client, "call_tool", cancelling)
            with pytest.raises(ToolRefused, match="cancelled: validate_snippets"):
                await client.call("validate_snippets", text=ENDLESS, wait_seconds=0)

    assert (report.verdict, report.total_snippets, report.valid_snippets) == ("failed", 2, 1)
    assert (tmp_path / "jobs.sqlite3").is_file()
    assert (job.state, job.kind) == ("finished", "validate_snippets")


async def test_settings_are_arguments(backend: FakeBackend, tmp_path: Path) -> None:
    """As words or as values, and unknown ones are refused."""
    (tmp_path / "page.md").write_text("Nothing to run.")

    async with connected(
        backend=backend, memory="300M", processes=64, packages=["numpy"], roots=[tmp_path]
    ) as client:
        await client.call("execute_code", code="1")
        report = await client.call("validate_snippets", paths=[str(tmp_path / "page.md")])

    limits = backend.created[0].request.limits
    assert (limits.memory_bytes, limits.processes) == (300 * 1024**2, 64)
    assert report.verdict == "skipped"
    for wrong in ({"memroy": "1G"}, {"memory": "much"}):
        with pytest.raises(SettingsError, match=f"{next(iter(wrong))}"):
            async with connected(backend=backend, **wrong):
                raise AssertionError


async def test_nothing_of_a_block_is_left_behind(
    backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports of jobs are not among the user's own."""
    monkeypatch.delenv("PROOFBOX_DATA_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async with connected(backend=backend):
        during = list(tmp_path.iterdir())
    after = list(tmp_path.iterdir())

    assert (len(during), after) == (1, [])


async def test_logging_is_the_embedders_own(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that logs nothing has nothing on stderr."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    async with connected(backend=backend):
        assert logging.getLogger().handlers == []


def test_another_event_loop_is_told_what_is_wanted() -> None:
    """Else it would fail somewhere in the middle of a test."""
    entering = connected().__aenter__()

    with pytest.raises(RuntimeError, match=r"runs on asyncio.*anyio_backend"):
        entering.send(None)
