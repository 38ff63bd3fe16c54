"""Limits of principals as they meet them, over HTTP, by a clock that the test turns."""

from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fakes import FakeBackend, VirtualClock, settle
from http_service import ERAS, Era, Served, facts, post, serving, texts, token_file
from mcp import Client, MCPError

from proofbox.server.http import service as http_service_module
from proofbox.server.http.service import HttpService
from proofbox.server.http.settings import HttpSettings
from proofbox.server.settings import Settings

# 2026-11-23, 21:00 UTC.
EVENING = 1_795_467_600.0


def service(clock: VirtualClock, http: HttpSettings) -> HttpService:
    """One that goes by the clock of the test."""
    return HttpService(http, clock=clock, now=lambda: EVENING + clock.monotonic())


async def run(client: Client, code: str = "1 + 1", session_id: str = "") -> str:
    """Run code; the whole text of the answer."""
    arguments = {"code": code} | ({"session_id": session_id} if session_id else {})
    return texts(await client.call_tool("execute_code", arguments))


@pytest.mark.parametrize("era", ERAS)
async def test_concurrent_calls_are_limited_for_each_principal(
    backend: FakeBackend, tmp_path: Path, era: Era
) -> None:
    """The next one is told so at once; another principal's is not; a place that was left is free."""
    path, (alice_token, bob_token) = token_file(tmp_path, "alice", "bob")
    http = HttpSettings(port=0, token_file=path, principal_calls=2)
    hold, begun = anyio.Event(), anyio.Semaphore(0)

    def on_create(sandbox: object) -> None:
        if len(backend.created) <= 2:
            backend.created[-1].hold_calls = hold
            begun.release()

    backend.on_create = on_create
    answers: list[str] = []
    refused: Any = None
    others = after = ""

    async def keep(client: Client) -> None:
        answers.append(await run(client))

    with anyio.fail_after(60):
        async with (
            serving(backend, http) as served,
            served.client(alice_token, era) as alice,
            served.client(bob_token, era) as bob,
            anyio.create_task_group() as running,
        ):
            for _ in range(2):
                running.start_soon(keep, alice)
                await begun.acquire()
            refused = await alice.call_tool("execute_code", {"code": "1 + 1"})
            with pytest.raises(MCPError, match="limit on concurrent calls"):
                await alice.read_resource("sandbox://x/files/y")
            others = await run(bob)
            hold.set()
            while len(answers) < 2:
                await settle()
            after = await run(alice)

    assert refused.is_error
    assert texts(refused) == (
        "2 calls of yours are running, and no more may at a time (the limit on concurrent calls). Nothing was"
        " done. Try again when one of them has been answered, or in 5 seconds."
    )
    for answer in (*answers, others, after):
        assert answer.startswith("passed")


async def test_a_call_that_is_given_up_leaves_its_place(
    backend: FakeBackend, tmp_path: Path
) -> None:
    """Clients that vanish must not use up what their principal may have."""
    path, (token,) = token_file(tmp_path, "alice")
    http = HttpSettings(port=0, token_file=path, principal_calls=1)
    begun = anyio.Event()

    def on_create(sandbox: object) -> None:
        if len(backend.created) == 1:
            backend.created[0].hold_calls = anyio.Event()
            begun.set()

    backend.on_create = on_create
    with anyio.fail_after(60):
        async with serving(backend, http) as served:
            async with anyio.create_task_group() as tasks, served.client(token) as vanishing:
                tasks.start_soon(run, vanishing)
                await begun.wait()
                tasks.cancel_scope.cancel()
            assert served.service.running is not None
            while served.service.running.quotas.running("alice:"):
                await settle()
            async with served.client(token) as alice:
                after = await run(alice)

    assert after.startswith("passed")


async def test_sessions_are_limited_for_each_principal(
    backend: FakeBackend, tmp_path: Path, clock: VirtualClock
) -> None:
    """The longest idle one of their own makes room; where all are busy, the answer says so."""
    path, tokens = token_file(tmp_path, "alice", "bob")
    http = HttpSettings(port=0, token_file=path, principal_sessions=2)
    full = ""
    with anyio.fail_after(60):
        async with (
            serving(backend, http, Settings(queue=0)) as served,
            served.client(tokens[0]) as alice,
            served.client(tokens[1]) as bob,
        ):
            others = facts(await bob.call_tool("execute_code", {"code": "x = 1"}))["session_id"]
            made = [
                facts(await alice.call_tool("execute_code", {"code": "x = 1"}))["session_id"]
                for _ in range(3)
            ]
            gone, kept = [await run(alice, "x", made[0]), await run(bob, "x", others)]
            for sandbox in backend.created:
                sandbox.hold_calls = anyio.Event()
            async with anyio.create_task_group() as busy:
                for handle in made[1:]:
                    busy.start_soon(run, alice, "x", handle)
                assert served.service.running is not None
                while served.service.running.quotas.running("alice:") < 2:
                    await settle()
                await settle()
                full = await run(alice)
                for sandbox in backend.created:
                    assert sandbox.hold_calls is not None
                    sandbox.hold_calls.set()

    assert "There is no such session" in gone
    assert kept.startswith("passed")
    assert "All 2 sessions that you may have are in use" in full
    assert "Try again in" in full


async def test_sandbox_seconds_are_limited_for_each_principal(
    backend: FakeBackend, tmp_path: Path, clock: VirtualClock
) -> None:
    """What the caller reads names the limit and when it is over; then it is."""
    path, tokens = token_file(tmp_path, "alice", "bob")
    http = HttpSettings(port=0, token_file=path, principal_sandbox_seconds=600)
    async with (
        serving(
            backend, settings=Settings(data_dir=tmp_path), service=service(clock, http)
        ) as served,
        served.client(tokens[0]) as alice,
        served.client(tokens[1]) as bob,
    ):
        first = await run(alice)
        await clock.advance(601)
        refused, others = await run(alice), await run(bob)
        await clock.advance(3 * 3600 - 600)
        after = await run(alice)

    assert first.startswith("passed")
    assert "Your sandboxes have been open for 600 seconds today" in refused
    assert "Try again after 00:00 UTC, in 2 h 50 min." in refused
    assert others.startswith("passed")
    assert after.startswith("passed")


async def test_who_is_alone_with_a_service_is_not_limited(backend: FakeBackend) -> None:
    """Unless they ask for it."""
    async with serving(backend, settings=Settings()) as served, served.client() as client:
        async with anyio.create_task_group() as running:
            for _ in range(20):
                running.start_soon(run, client)
        async with httpx2.AsyncClient() as http:
            page = (await http.get(f"{served.base}/metrics")).text

    assert 'proofbox_calls_total{tool="execute_code",verdict="passed"} 20' in page
    assert "proofbox_refused_by_limit_calls_total 0" in page


HELLO = """{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}"""


async def opened(served: Served, token: str) -> httpx2.Response:
    """A connection of the handshake era that is opened and left alone."""
    return await post(served, HELLO, token=token)


async def is_open(served: Served, token: str, hello: httpx2.Response) -> bool:
    """Whether a connection still is; that is a use of it."""
    ping = '{"jsonrpc": "2.0", "id": 2, "method": "ping"}'
    headers = {"Mcp-Session-Id": hello.headers["mcp-session-id"]}
    return (await post(served, ping, token=token, headers=headers)).status_code == 200


async def test_connections_that_were_left_make_room_for_those_of_the_same_principal(
    backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was not used for longest goes; nobody takes up the room of others; ones in use stay."""
    monkeypatch.setattr(http_service_module, "MOST", 3)
    path, (alice, bob) = token_file(tmp_path, "alice", "bob")
    with anyio.fail_after(60):
        async with serving(backend, HttpSettings(port=0, token_file=path)) as served:
            others = await opened(served, bob)
            left = [await opened(served, alice) for _ in range(3)]
            used = await is_open(served, alice, left[0])
            left.append(await opened(served, alice))
            after = [await is_open(served, alice, one) for one in left]
            foreign = await is_open(served, alice, others)
            hold = anyio.Event()
            backend.on_create = lambda sandbox: setattr(backend.created[-1], "hold_calls", hold)
            async with (
                served.client(alice, "legacy") as first,
                served.client(alice, "legacy") as second,
                served.client(alice, "legacy") as third,
                anyio.create_task_group() as running,
            ):
                for client in (first, second, third):
                    running.start_soon(run, client)
                assert served.service.running is not None
                while served.service.running.quotas.running("alice:") < 3:
                    await settle()
                full = await opened(served, alice)
                bobs = await is_open(served, bob, others)
                hold.set()
                assert full.status_code == 503
                assert "3 connections of yours are in use" in full.text
                assert bobs
            again = await opened(served, alice)

    assert used
    assert after == [True, False, True, True]
    assert not foreign
    assert again.status_code == 200


async def test_streams_to_listen_on_are_connections_of_their_principal(
    backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as of the handshake era, together with those; nobody else has less, and one that ends makes room."""
    monkeypatch.setattr(http_service_module, "MOST", 3)
    path, (alice, bob) = token_file(tmp_path, "alice", "bob")
    with anyio.fail_after(30):
        async with (
            serving(backend, HttpSettings(port=0, token_file=path)) as served,
            served.client(alice) as client,
            served.client(bob) as other,
        ):
            left = await opened(served, alice)
            async with (
                client.listen(tools_list_changed=True),
                client.listen(tools_list_changed=True),
                other.listen(tools_list_changed=True),
            ):
                async with client.listen(tools_list_changed=True):
                    after = await is_open(served, alice, left)
                    with pytest.raises(MCPError, match="3 connections of yours are in use"):
                        await client.listen(tools_list_changed=True).__aenter__()
                    full = await opened(served, alice)
                    answer = await run(client)
                while (again := await opened(served, alice)).status_code == 503:
                    await settle()

    assert not after
    assert full.status_code == 503
    assert answer.startswith("passed")
    assert again.status_code == 200
