"""`proofbox serve --http` as a command: what it listens on, both eras, tokens, and a bounded end."""

import json
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

PINNED = Path(__file__).parent / "tools.json"
PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Generator[Start]:
    """Starts a server on a free port, with more arguments."""
    with ExitStack() as processes:

        def run(*arguments: str | Path) -> subprocess.Popen[str]:
            command = [PROOFBOX, "--backend", "local", "serve", "--http", "--port", "0", "--json"]
            process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield run


def url_of(server: subprocess.Popen[str]) -> str:
    """The address that it announces."""
    assert server.stdout is not None
    return json.loads(server.stdout.readline())["url"]


async def test_clients_of_both_eras_are_served_until_a_signal_ends_it(start: Start) -> None:
    """The address is announced once it can be connected to; a foreign host name is turned away."""
    server = start()
    url = url_of(server)
    eras: tuple[Literal["auto", "legacy"], ...] = ("auto", "legacy")
    with anyio.fail_after(60):
        for era in eras:
            async with Client(url, mode=era) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                assert tools == [tool["name"] for tool in json.loads(PINNED.read_text())]
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


def ended(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the command says that does not get to serve."""
    return subprocess.run(
        [PROOFBOX, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_nobody_else_is_served_without_authentication_and_hosts() -> None:
    """It refuses to start, and names what is missing."""
    done = ended("serve", "--http", "--port", "0", "--host", "0.0.0.0")

    assert done.returncode == 2
    assert "everybody who can connect could run code: set authentication" in done.stderr
    assert "allowed hosts (PROOFBOX_ALLOWED_HOSTS), or listen on 127.0.0.1." in done.stderr


def test_it_does_not_start_with_a_token_file_that_it_cannot_use(tmp_path: Path) -> None:
    """Rather than let nobody in, or everybody; nothing of the file is shown."""
    tokens = tmp_path / "tokens"
    tokens.write_text("alice hunter2")
    done = ended("serve", "--http", "--port", "0", "--token-file", tokens)

    assert done.returncode == 2
    assert "line 1: a line is NAME sha256:HEX" in done.stderr
    assert "hunter2" not in done.stderr


async def test_a_token_that_was_made_lets_in_who_has_it(start: Start, tmp_path: Path) -> None:
    """It is shown once; the file, which is its owner's alone, has a hash of it. Others are turned away."""
    tokens = tmp_path / "tokens"
    made = ended("token", "alice", "--token-file", tokens, "--json")
    token = json.loads(made.stdout)["token"]
    url = url_of(start("--token-file", tokens))
    headers = {"Authorization": f"Bearer {token}"}
    with anyio.fail_after(60):
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            found = await client.list_tools()
        async with httpx2.AsyncClient() as http:
            without = await http.post(url, json={})

    assert "execute_code" in [tool.name for tool in found.tools]
    assert without.status_code == 401
    assert tokens.stat().st_mode & 0o777 == 0o600
    assert token not in tokens.read_text()


def test_a_principal_cannot_be_named_like_anything() -> None:
    """What parts identities cannot be in one."""
    done = ended("token", "alice:bob")

    assert done.returncode == 2
    assert "'alice:bob' cannot name a principal" in done.stderr


def test_a_flag_of_the_service_means_nothing_on_stdio() -> None:
    """It would be taken for heard: whoever gives it wants HTTP."""
    done = ended("serve", "--host", "0.0.0.0")

    assert done.returncode == 2
    assert "--host is for --http" in done.stderr
