"""Connections that say nothing, or never come to an end of it: by the thousand, they must not shut others out."""

from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest
from anyio.abc import ByteStream
from fakes import FakeBackend
from http_service import Served, serving

from proofbox.server.http import doors

HALF = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


async def connected(served: Served, stack: AsyncExitStack, said: bytes) -> ByteStream:
    """A connection that has said this."""
    port = int(served.base.rpartition(":")[2])
    stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
    if said:
        await stream.send(said)
    return stream


async def is_cut(stream: ByteStream) -> bool:
    """Whether the other side ends it."""
    try:
        while True:
            await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return True


@pytest.mark.parametrize("said", [b"", HALF, HALF.replace(b"X-Slow", b"X") + b"1\r\n\r\nGET /heal"])
async def test_who_does_not_finish_a_request_has_its_connection_cut(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Be it the first on that connection or a later one."""
    monkeypatch.setattr(doors, "HEAD_SECONDS", 0.2)
    with anyio.fail_after(30):
        async with serving(backend) as served, AsyncExitStack() as stack:
            assert await is_cut(await connected(served, stack, said))


async def test_too_many_connections_shut_out_nobody_who_asks_for_something(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were silent for longest go, and requests under way stay."""
    monkeypatch.setattr(doors, "most_connections", lambda: 8)
    with anyio.fail_after(30):
        async with (
            serving(backend) as served,
            served.client(era="legacy") as client,  # it listens on a stream
            AsyncExitStack() as stack,
        ):
            await client.list_tools()
            waiting = [await connected(served, stack, HALF) for _ in range(40)]
            async with httpx2.AsyncClient() as http:
                alive = await http.get(f"{served.base}/healthz")
            oldest = [await is_cut(stream) for stream in waiting[:30]]
            made = await client.call_tool("execute_code", {"code": "6 * 7"})

    assert alive.status_code == 200
    assert all(oldest)
    assert made.structured_content is not None
    assert made.structured_content["value"] == "42"
