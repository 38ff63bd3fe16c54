"""The server in a process of its own, on stdio, with every kind of end that a host gives it."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from mcp import Client, StdioServerParameters

SERVER = Path(__file__).with_name("stdio_server.py")
CONSOLE_SCRIPT = Path(sysconfig.get_path("scripts")) / "proofbox"
OPENING = b"""\
{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", \
"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}
"""


class Wire:
    """JSON lines to and from a server."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._rest = b""

    async def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        await self._stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Read one message; what is not JSON fails here."""
        while b"\n" not in self._rest:
            self._rest += await self._stdout.receive()
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def start_a_call_that_waits(self) -> None:
        """Shake hands, call, and return once the code runs."""
        await self._stdin.send(OPENING)
        assert (await self.receive())["id"] == 1
        await self.send({"method": "notifications/initialized"})
        call = {"name": "execute_code", "arguments": {"code": "wait"}}
        token = {"_meta": {"progressToken": 7}}
        await self.send({"id": 2, "method": "tools/call", "params": call | token})
        assert (await self.receive())["params"]["message"] == "started"

    async def hang_up(self) -> None:
        """Close the server's stdin."""
        await self._stdin.aclose()


@asynccontextmanager
async def serving(*arguments: str) -> AsyncGenerator[Wire]:
    """A server whose process is gone at the end of the block in any case."""
    command = [sys.executable, str(SERVER), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SERVER.parent)}
    with anyio.fail_after(60):
        process = await anyio.open_process(command, stderr=None, env=environment)
        try:
            yield Wire(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def test_the_end_of_stdin_ends_the_server_with_everything_closed(tmp_path: Path) -> None:
    """Even with code running, and with success as its status."""
    witness = tmp_path / "witness"
    async with serving(str(witness)) as wire:
        await wire.start_a_call_that_waits()
        await wire.hang_up()
        status = await wire.process.wait()

    assert (status, witness.read_text()) == (0, "open: 0")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_ends_the_server_with_everything_closed(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """Even with code running, and with the status that a shell shows."""
    witness = tmp_path / "witness"
    async with serving(str(witness)) as wire:
        await wire.start_a_call_that_waits()
        wire.process.send_signal(number)
        ended = await wire.process.wait()

    assert (ended, witness.read_text()) == (status, "open: 0")


def test_a_client_that_takes_no_more_answers_ends_the_server_with_everything_closed(
    tmp_path: Path,
) -> None:
    """Though stdin stays open; the status is that of a broken pipe."""
    witness = tmp_path / "witness"
    environment = {**os.environ, "PYTHONPATH": str(SERVER.parent)}
    with subprocess.Popen(
        [sys.executable, str(SERVER), str(witness)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        bufsize=0,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(OPENING)
        assert b"proofbox" in server.stdout.readline()
        server.stdout.close()
        try:
            status = server.wait(60)
        finally:
            server.kill()

    assert (status, witness.read_text()) == (141, "open: 0")


async def test_an_answer_that_cannot_be_written_is_no_crash(tmp_path: Path) -> None:
    """A client that dies closes both ends at once, perhaps just before an answer."""
    command = [sys.executable, str(SERVER), str(tmp_path / "witness")]
    environment = {**os.environ, "PYTHONPATH": str(SERVER.parent)}
    async with await anyio.open_file("/dev/full", "w") as full:
        ended = await anyio.run_process(
            command, input=b"{}\n" + OPENING, stdout=full.wrapped, env=environment, check=False
        )

    assert (ended.returncode, (tmp_path / "witness").read_text()) == (141, "open: 0")
    assert b"Traceback" not in ended.stderr


async def test_an_end_that_hangs_is_cut_short(tmp_path: Path) -> None:
    """The server is gone all the same."""
    async with serving(str(tmp_path / "witness"), "hang") as wire:
        await wire.start_a_call_that_waits()
        wire.process.send_signal(signal.SIGTERM)

        assert await wire.process.wait() == 143


async def test_stray_prints_do_not_disturb_the_wire(tmp_path: Path) -> None:
    """A real client drives the server in both eras, though its code prints to stdout."""
    environment = {**os.environ, "PYTHONPATH": str(SERVER.parent)}
    server = StdioServerParameters(
        command=sys.executable, args=[str(SERVER), str(tmp_path / "witness")], env=environment
    )
    for era in ("auto", "legacy"):
        with anyio.fail_after(60):
            async with Client(server, mode=era) as client:
                result = await client.call_tool("execute_code", {"code": "said"})

        assert result.structured_content is not None
        assert result.structured_content["stdout"] == "said"


def test_the_console_script_starts_in_an_empty_environment(tmp_path: Path) -> None:
    """With its absolute path and nothing else, as a host's configuration has it."""
    done = subprocess.run(
        [CONSOLE_SCRIPT],
        input=OPENING,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "proofbox"


@pytest.mark.parametrize("variable", ["PROOFBOX_MEMORY", "PROOFBOX_NO_SUCH_SETTING"])
def test_a_setting_that_cannot_be_used_stops_the_start_with_a_sentence(variable: str) -> None:
    """On stderr, with nothing on the wire and no traceback."""
    done = subprocess.run(
        [CONSOLE_SCRIPT],
        env={**os.environ, variable: "nonsense"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"proofbox: {variable}")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_working_folder_that_is_gone_is_no_root_and_no_crash(tmp_path: Path) -> None:
    """Hosts start servers in folders that may have been removed since."""
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd {gone} && rmdir {gone} && exec {CONSOLE_SCRIPT}"

    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
