"""`proofbox serve --http`: loopback only, both eras, and a bounded end."""

import json
import os
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import anyio
import httpx2
import pytest
from mcp import Client

PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"


@pytest.fixture
def server() -> Generator[subprocess.Popen[str]]:
    """A server on a free port that no client has connected to."""
    command = [PROOFBOX, "--backend", "local", "serve", "--http", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_clients_of_both_eras_are_served_until_a_signal_ends_it(
    server: subprocess.Popen[str],
) -> None:
    """The address is announced once it can be connected to; a foreign host name is turned away."""
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    eras: tuple[Literal["auto", "legacy"], ...] = ("auto", "legacy")
    with anyio.fail_after(60):
        for era in eras:
            async with Client(url, mode=era) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                assert tools == [
                    "execute_code",
                    "validate_snippets",
                    "run_generated_tests",
                    "benchmark_model",
                    "get_job",
                    "read_artifact",
                    "close_session",
                ]
        async with httpx2.AsyncClient() as http:
            foreign = await http.post(url, headers={"Host": "evil.example"}, json={})
        server.send_signal(signal.SIGTERM)
        status = await anyio.to_thread.run_sync(server.wait)

    assert url.startswith("http://127.0.0.1:")
    assert foreign.status_code == 421
    assert status == -signal.SIGTERM


def test_a_port_that_is_taken_is_named() -> None:
    """With the status of bad usage."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [PROOFBOX, "serve", "--http", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert f"Port {port} cannot be had: Address already in use." in done.stderr
