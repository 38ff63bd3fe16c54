"""validate_snippets and get_job from a client on stdio, with a server in a process of its own."""

import os
import sysconfig
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"
HANG_SECONDS = 120
# Found in the command line of what an endless snippet leaves behind, if anything is left.
MARK = "31415"
ENDLESS = f"import os, subprocess\nif os.fork() == 0:\n    os.setsid()\nsubprocess.run(['sleep', '{MARK}'])\n"
WAITS = "import time\ntime.sleep(1)\nprint(6 * 7)\n#> 42\n"

pytestmark = pytest.mark.slow


@asynccontextmanager
async def serving(
    local_cache: Path, data: Path, mode: Literal["auto", "legacy"]
) -> AsyncGenerator[Client]:
    """A client of a server of its own; nothing may survive its end."""
    parameters = StdioServerParameters(
        command=str(CONSOLE_SCRIPT),
        args=["--backend", "local", "--cache-dir", str(local_cache), "--data-dir", str(data)],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
    )
    with anyio.fail_after(HANG_SECONDS):
        async with Client(parameters, mode=mode) as client:
            yield client


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result, which must be there."""
    assert result.structured_content is not None
    return result.structured_content


def survivors() -> list[str]:
    """The processes of this machine, those in jails too, that an endless snippet started."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", MARK.encode()]:
                found.append(entry.name)
    return found


async def until(number_of_survivors: int) -> None:
    """Wait until there are so many, or none."""
    while bool(survivors()) != bool(number_of_survivors):
        await anyio.sleep(0.05)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_job_outlives_its_call_and_a_cancelled_one_leaves_nothing(
    local_cache: Path, tmp_path: Path, mode: Literal["auto", "legacy"]
) -> None:
    """In both eras; what was cancelled before its id was told leaves nothing either."""
    page = {"text": f"```python\n{WAITS}```\n", "wait_seconds": 0}
    endless = {"text": f"```python\n{ENDLESS}```\n", "timeout_seconds": 120}
    async with serving(local_cache, tmp_path, mode) as client:
        job = facts_of(await client.call_tool("validate_snippets", page))["job"]
        done = await client.call_tool("get_job", {"job_id": job["job_id"]})

        assert facts_of(done)["report"]["verdict"] == "passed"
        assert facts_of(done)["report"]["valid_snippets"] == 1

        running = await client.call_tool("validate_snippets", {**endless, "wait_seconds": 0})
        await until(1)
        named = {"job_id": facts_of(running)["job"]["job_id"]}
        stopped = await client.call_tool("get_job", {**named, "cancel": True})

        assert "verdict" not in facts_of(running)
        assert facts_of(stopped)["state"] == "cancelled"
        await until(0)

        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "validate_snippets", endless)
            await until(1)
            calls.cancel_scope.cancel()
        await until(0)

        left = await client.call_tool("validate_snippets", {**endless, "wait_seconds": 0})
        await until(1)
    await until(0)
    async with serving(local_cache, tmp_path, mode) as client:
        lost = facts_of(left)["job"]["job_id"]
        again = await client.call_tool("get_job", {"job_id": lost})
        before = await client.call_tool("get_job", {"job_id": job["job_id"]})

    assert again.is_error
    assert facts_of(again)["state"] == "interrupted"
    assert facts_of(before)["report"] == facts_of(done)["report"]
