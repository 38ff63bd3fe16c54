"""What callers of the HTTP service hear when it stops before they have their answer."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from fakes import FakeBackend, VirtualClock, settle
from http_service import ERAS, Era, Served, serving, texts
from mcp import Client
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proofbox.server.http.service import HttpService
from proofbox.server.http.settings import HttpSettings
from proofbox.server.http.stopping import CUT, Endings, Stop


async def no_longer_listens(served: Served) -> None:
    """Comes back once nobody new is let in."""
    host, port = served.base.removeprefix("http://").split(":")
    while True:
        try:
            await (await anyio.connect_tcp(host, int(port))).aclose()
        except OSError:
            return
        await settle()


@asynccontextmanager
async def listening(client: Client, era: Era) -> AsyncGenerator[None]:
    """A client that has a stream open; that of the handshake era does so by itself."""
    if era == "legacy":
        yield
        return
    async with (
        client.listen(tools_list_changed=True) as changes,
        anyio.create_task_group() as tasks,
    ):

        async def until_the_end() -> None:
            async for _ in changes:
                pass

        tasks.start_soon(until_the_end)
        yield


@pytest.mark.parametrize("era", ERAS)
async def test_calls_have_their_time_at_the_end_and_are_told_that_they_were_cut(
    backend: FakeBackend,
    clock: VirtualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    era: Era,
) -> None:
    """Who only listens is no reason to wait; no request ends as a fault, in an answer or in the log."""
    audit = tmp_path / "audit"
    service = HttpService(HttpSettings(port=0, grace_seconds=5, audit_file=audit), clock=clock)
    holds = [anyio.Event(), anyio.Event()]
    begun = anyio.Semaphore(0)
    answers: list[Any] = []
    answered = anyio.Event()

    def on_create(sandbox: object) -> None:
        if len(backend.created) <= 2:
            backend.created[-1].hold_calls = holds[len(backend.created) - 1]
            begun.release()

    backend.on_create = on_create

    async def call(served: Served) -> None:
        async with served.client(era=era) as client, listening(client, era):
            await client.list_tools()  # it would ask for their schemas afterwards
            answers.append(await client.call_tool("execute_code", {"code": "1 + 1"}))
            answered.set()

    async def after_the_stop(served: Served) -> None:
        await no_longer_listens(served)
        # Whatever ends streams at a signal looks for one twice a second.
        with anyio.move_on_after(0.7):
            await answered.wait()
        assert not answers
        holds[0].set()
        await answered.wait()
        await clock.advance(5)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, serving(backend, service=service) as served:
            for _ in range(2):
                tasks.start_soon(call, served)
                await begun.acquire()
            tasks.start_soon(after_the_stop, served)

    assert [texts(answer).split()[0] for answer in answers] == ["passed", "proofbox"]
    assert answers[1].is_error
    assert texts(answers[1]) == CUT
    verdicts = [json.loads(line)["verdict"] for line in audit.read_text().splitlines()]
    assert verdicts == ["passed", "cut"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def cut(app: ASGIApp, method: str) -> list[Message]:
    """What a request is answered that is cut while the application works on it: GET, to listen, when the service
    begins to stop, and any other by uvicorn.
    """
    stop = Stop()
    sent: list[Message] = []
    begun = anyio.Event()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await app(scope, receive, send)
        await anyio.sleep_forever()

    async def serve() -> None:
        scope = {"type": "http", "method": method, "path": "/mcp"}
        await Endings(work, stop, stream_path="/mcp")(scope, receive, send)

    with anyio.fail_after(5):
        request = asyncio.create_task(serve())
        await begun.wait()
        await settle()
        stop.streams.cut()
        if method != "GET":
            request.cancel()
        await request
    return sent


async def nothing_yet(scope: Scope, receive: Receive, send: Send) -> None:
    """It has not begun to answer."""


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    """It is in the middle of an answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data", "more_body": True})


async def all_of_it(scope: Scope, receive: Receive, send: Send) -> None:
    """It has answered, and cleans up."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data", "more_body": False})


async def test_a_request_that_is_cancelled_ends_as_one_should() -> None:
    """With 503 and what that means if nothing was said yet, else with an end to what was."""
    start, body = await cut(nothing_yet, "POST")
    asked = ((half, "POST"), (half, "GET"), (all_of_it, "POST"))
    ends = [(await cut(app, method))[-1] for app, method in asked]

    assert start["status"] == 503
    assert json.loads(body["body"])["error"]["message"] == CUT
    assert [(end["body"], end["more_body"]) for end in ends] == [
        (b"", False),
        (b"", False),
        (b"data", False),
    ]
