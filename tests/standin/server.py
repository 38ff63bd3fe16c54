"""The stand-in as a whole: E2B's control plane and the proxy in front of its sandboxes.

    with StandIn() as standin:
        os.environ |= standin.environment
        ...

It speaks HTTP on loopback in a thread of its own; the unmodified SDK talks to it.
"""

import asyncio
import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import uvicorn
from connectrpc.errors import ConnectError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .control import ControlPlane
from .faults import Faults
from .fleet import Fleet, Instance
from .interpreter import Message
from .machine import Size
from .uploads import read_file, write_files

API_KEY = "e2b_0123456789abcdef"


def _is_an_accident(record: logging.LogRecord) -> bool:
    """Whether a log line tells of more than a broken connection: applications raise to have one broken."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ConnectionResetError | ConnectError)


class StandIn:
    """The running stand-in.

    Attributes:
        faults: what is to go wrong.
        fleet: the sandboxes; `len(standin)` counts them.
    """

    def __init__(self, size: Size | None = None) -> None:
        self.faults = Faults()
        self._folder = Path(tempfile.mkdtemp(prefix="standin-"))
        self.fleet = Fleet(self._folder, self.faults, size or Size())
        self.control = ControlPlane(self.fleet, self.faults, API_KEY)
        config = uvicorn.Config(
            self._app,
            host="127.0.0.1",
            port=0,
            log_level="error",
            interface="asgi3",
            lifespan="off",
            timeout_graceful_shutdown=1,
            # Longer than the SDK's own: else a request can meet a connection that is being closed.
            timeout_keep_alive=600,
        )
        self._server = uvicorn.Server(config)
        logging.getLogger("uvicorn.error").addFilter(_is_an_accident)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="standin", daemon=True)
        self._started: Future[int] = Future()

    def __enter__(self) -> Self:
        self._thread.start()
        self._port = self._started.result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self.fleet.instances)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead the SDK here."""
        url = f"http://127.0.0.1:{self._port}"
        return {"E2B_API_KEY": API_KEY, "E2B_API_URL": url, "E2B_SANDBOX_URL": url}

    def reset(self) -> None:
        """Kill every sandbox and forget all faults."""
        self.faults.clear()
        asyncio.run_coroutine_threadsafe(self.fleet.stop(), self._loop).result(timeout=30)

    def kill(self, sandbox_id: str) -> None:
        """End a sandbox as its time to live does."""
        asyncio.run_coroutine_threadsafe(self.fleet.kill(sandbox_id), self._loop).result(timeout=30)

    async def emptied(self) -> None:
        """Wait until no sandbox is left."""
        while len(self):
            await asyncio.sleep(0.01)

    def pause(self, sandbox_id: str) -> None:
        self.fleet.instances[sandbox_id].state = "paused"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        self._started.set_result(self._server.servers[0].sockets[0].getsockname()[1])
        await serving
        await self.fleet.end()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        sandbox = headers.get("e2b-sandbox-id")
        if sandbox is None:
            await self.control(scope, receive, send)
            return
        answer = await self._route(scope, sandbox, headers)
        await answer(scope, receive, send)

    async def _route(self, scope: Scope, sandbox: str, headers: dict[str, str]) -> ASGIApp:
        path, port = scope["path"], headers.get("e2b-sandbox-port", "49983")
        instance = self.fleet.instances.get(sandbox)
        lost = self.faults.take("not_found", path)
        if lost or instance is None or instance.state == "paused":
            text = {"sandboxId": sandbox, "message": "The sandbox was not found", "code": 502}
            return JSONResponse(text, status_code=502)
        if self.faults.take("port_not_open", path):
            text = {
                "sandboxId": sandbox,
                "message": "The sandbox is running but port is not open",
                "port": int(port),
                "code": 502,
            }
            return JSONResponse(text, status_code=502)
        if port == "49999":
            if headers.get("e2b-traffic-access-token") != instance.traffic_token:
                return JSONResponse({"message": "missing traffic access token"}, status_code=403)
            return self._interpreter(instance)
        if headers.get("x-access-token") != instance.access_token and path != "/health":
            return JSONResponse({"code": 401, "message": "unauthorized"}, status_code=401)
        if path.startswith("/process.Process"):
            return _process_app(instance)
        if path.startswith("/filesystem.Filesystem"):
            return instance.filesystem_app
        return _asgi(lambda request: _envd_http(instance, request))

    def _interpreter(self, instance: Instance) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/execute":
                await self._execute(instance, scope, receive, send)
            else:
                await _asgi(lambda request: _contexts(instance, request))(scope, receive, send)

        return app

    async def _execute(
        self, instance: Instance, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await Request(scope, receive).json()
        if body.get("context_id") and body.get("language"):
            text = "Only one of context_id or language can be provided"
            await PlainTextResponse(text, status_code=400)(scope, receive, send)
            return
        try:
            context = await instance.interpreter.find(body.get("context_id"), body.get("language"))
        except LookupError as error:
            await PlainTextResponse(str(error), status_code=500)(scope, receive, send)
            return
        if context is None:
            text = f"Context {body['context_id']} not found"
            await PlainTextResponse(text, status_code=404)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await _while_there(
            self._stream(instance, context.execute(body["code"]), send), receive, instance
        )

    async def _stream(self, instance: Instance, messages: Any, send: Send) -> None:
        async with aclosing(messages) as cell:
            if not await self._fault(instance, send):
                async for message in cell:
                    await _line(send, message)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _fault(self, instance: Instance, send: Send) -> bool:
        take = self.faults.take
        if take("execute_silent"):
            await asyncio.Event().wait()
        for name, text in _SERVER_ERRORS.items():
            if take(name):
                error = {"type": "error", "name": text, "value": "lost", "traceback": ""}
                await _line(send, error)
                return True
        if take("execute_garbled"):
            await send({"type": "http.response.body", "body": b'{"type": "st\n', "more_body": True})
        if take("execute_blank"):
            await send({"type": "http.response.body", "body": b"\n", "more_body": True})
        if take("execute_drop"):
            await _line(send, {"type": "number_of_executions", "execution_count": 1})
            raise ConnectionResetError("a fault")
        if take("execute_drop_dead"):
            await _line(send, {"type": "number_of_executions", "execution_count": 1})
            asyncio.get_running_loop().create_task(self.fleet.kill(instance.id))
            await asyncio.sleep(0.05)
            raise ConnectionResetError("a fault")
        return False


_SERVER_ERRORS = {
    "execute_aborted": "ExecutionAborted",
    "execute_lost": "UnexpectedEndOfExecution",
    "execute_websocket": "WebSocketError",
}


async def _line(send: Send, message: Message) -> None:
    data = json.dumps(message).encode() + b"\n"
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _while_there(
    work: Coroutine[Any, Any, None], receive: Receive, instance: Instance
) -> None:
    """Do the work of a request until its client leaves.

    Raises what the work raises, and ConnectionResetError when the sandbox ends first: uvicorn drops the
    connection of an application that raises.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(receive))
    ending = asyncio.create_task(instance.gone.wait())
    tasks: set[asyncio.Task[Any]] = {working, leaving, ending}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = ending.done() and not working.done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if ended:
        raise ConnectionResetError("the sandbox ended")
    if not working.cancelled() and (error := working.exception()):
        raise error


def _process_app(instance: Instance) -> ASGIApp:
    """The process service. It notices that a client has left, as Go's servers do."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        messages: asyncio.Queue[Any] = asyncio.Queue()
        messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        await _while_there(instance.process_app(scope, messages.get, send), receive, instance)

    return app


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _asgi(handle: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive))
        await response(scope, receive, send)

    return app


async def _envd_http(instance: Instance, request: Request) -> Response:
    if request.url.path == "/health":
        return Response(status_code=204)
    if request.url.path == "/files" and request.method == "GET":
        return await read_file(instance.machine, request)
    if request.url.path == "/files" and request.method == "POST":
        return await write_files(instance.machine, request)
    return JSONResponse({"code": 404, "message": "no such route"}, status_code=404)


async def _contexts(instance: Instance, request: Request) -> Response:
    interpreter = instance.interpreter
    parts = request.url.path.strip("/").split("/")
    if parts == ["health"]:
        return JSONResponse("OK")
    if parts == ["contexts"] and request.method == "GET":
        return JSONResponse([context.describe() for context in interpreter.contexts.values()])
    if parts == ["contexts"]:
        body = await request.json()
        try:
            context = await interpreter.create(
                body.get("language") or "python", body.get("cwd") or "/home/user"
            )
        except LookupError as error:
            return PlainTextResponse(str(error), status_code=500)
        return JSONResponse(context.describe())
    context = interpreter.contexts.get(parts[1])
    if context is None:
        return PlainTextResponse(f"Context {parts[1]} not found", status_code=404)
    if parts[-1] == "restart":
        await context.restart()
    else:
        del interpreter.contexts[context.id]
        await context.stop()
    return JSONResponse(None)
