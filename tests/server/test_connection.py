"""The host's end of a keeper that does not announce itself."""

import socket
from collections.abc import AsyncGenerator

import anyio
import pytest

from proofbox.server.sandbox import SandboxUnavailable
from proofbox.server.sandbox.driving.connection import Connection, attach
from proofbox.server.sandbox.guest import wire


@pytest.fixture
async def ends() -> AsyncGenerator[tuple[Connection, socket.socket]]:
    """A connection, and the keeper's end of it."""
    ours, keeper = socket.socketpair()
    connection = await attach(ours)
    yield connection, keeper
    connection.abort()
    keeper.close()


async def ask(connection: Connection) -> None:
    """One request, as the first of a program."""
    with anyio.fail_after(5):
        await connection.request({"op": "run"}, b"", 1.0)


async def test_a_program_that_cannot_be_started_says_why(
    ends: tuple[Connection, socket.socket],
) -> None:
    """Its first request is on its way by then, and must not wait for its deadline."""
    connection, keeper = ends
    keeper.sendall(wire.encode({"t": "failed", "error": "no room", "detail": ""}))

    with pytest.raises(SandboxUnavailable, match="could not be started: no room"):
        await ask(connection)


async def test_what_is_known_before_anything_was_asked_is_said_then(
    ends: tuple[Connection, socket.socket],
) -> None:
    """Asked all the same, the keeper would take the missing process for the program's own doing."""
    connection, keeper = ends
    keeper.sendall(wire.encode({"t": "failed", "error": "no room", "detail": ""}))
    for _ in range(5):
        await anyio.lowlevel.checkpoint()

    with pytest.raises(SandboxUnavailable, match="could not be started: no room"):
        await ask(connection)


async def test_a_program_whose_keeper_hangs_up_was_lost(
    ends: tuple[Connection, socket.socket],
) -> None:
    """Whatever the reason: nothing is known of the program."""
    connection, keeper = ends
    keeper.close()

    with pytest.raises(SandboxUnavailable, match="lost"):
        await ask(connection)
