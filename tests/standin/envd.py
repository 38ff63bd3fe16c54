"""E2B's agent in a sandbox: processes and files, by the server stubs in the e2b wheel.

As with the real one: losing the stream of `Start` does not kill the process, the timeout of the request
does, and a signal goes to one process and not to its group.
"""

import asyncio
import base64
import errno
import os
import signal
import stat as modes
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from e2b.envd.filesystem import filesystem_connect, filesystem_pb
from e2b.envd.process import process_connect, process_pb
from protobuf import Oneof
from protobuf.wkt import Timestamp

from .faults import Faults
from .machine import HOME, Machine

_CHUNK = 65536


class Events:
    """What happens to a process, for as long as somebody listens."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[process_pb.ProcessEvent] = asyncio.Queue(maxsize=64)
        self._listened = True

    async def get(self) -> process_pb.ProcessEvent:
        return await self._queue.get()

    async def put(self, event: process_pb.ProcessEvent) -> None:
        if self._listened:
            await self._queue.put(event)

    def abandon(self) -> None:
        self._listened = False
        while not self._queue.empty():
            self._queue.get_nowait()


class Process(process_connect.Process):
    """The process service of one sandbox."""

    def __init__(self, machine: Machine, faults: Faults) -> None:
        self._machine = machine
        self._faults = faults
        self._running: dict[int, process_pb.ProcessConfig] = {}
        self._inputs: dict[int, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def list(self, request: Any, ctx: Any, /) -> process_pb.ListResponse:
        return process_pb.ListResponse(
            processes=[
                process_pb.ProcessInfo(config=config, pid=pid)
                for pid, config in self._running.items()
            ]
        )

    async def start(
        self,
        request: process_pb.StartRequest,
        ctx: RequestContext[process_pb.StartRequest, process_pb.StartResponse],
        /,
    ) -> AsyncIterator[process_pb.StartResponse]:
        config = request.process or process_pb.ProcessConfig()
        cwd = config.cwd or HOME
        await self._check_directory(cwd)
        events = Events()
        milliseconds = ctx.timeout_ms
        user = user_of(ctx.request_headers.get("authorization", ""))
        pid, done = await self._spawn(config, cwd, events, user=user, stdin=bool(request.stdin))
        if milliseconds is not None:
            self._run(self._kill_later(pid, milliseconds / 1000, done))
        started = process_pb.ProcessEvent.StartEvent(pid=pid)
        try:
            yield _response(process_pb.ProcessEvent(event=Oneof("start", started)))
            if self._faults.take("start_drop"):
                raise ConnectError(Code.UNAVAILABLE, "the connection to the sandbox ended")
            while True:
                event = await events.get()
                yield _response(event)
                if event.event is not None and event.event.field == "end":
                    return
        finally:
            events.abandon()

    async def _check_directory(self, cwd: str) -> None:
        try:
            if not (await self._machine.ask("stat", path=cwd))["entry"]["directory"]:
                raise ConnectError(Code.INVALID_ARGUMENT, f"cwd '{cwd}' is not a directory")
        except OSError as error:
            raise ConnectError(Code.INVALID_ARGUMENT, f"cwd '{cwd}' does not exist") from error

    async def _spawn(
        self,
        config: process_pb.ProcessConfig,
        cwd: str,
        events: Events,
        *,
        user: str,
        stdin: bool,
    ) -> tuple[int, asyncio.Event]:
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        in_end, into = os.pipe() if stdin else (None, None)
        try:
            pid, wait = await self._machine.spawn(
                [config.cmd, *config.args],
                stdout=out_end,
                stderr=err_end,
                stdin=in_end,
                user=user,
                env=dict(config.envs),
                cwd=cwd,
                processes=self._machine.size.command_processes,
            )
        except OSError as error:
            _close(out, err, into)
            raise ConnectError(Code.INTERNAL, f"error starting process: {error}") from error
        finally:
            _close(out_end, err_end, in_end)
        self._running[pid] = config
        if into is not None:
            self._inputs[pid] = into
        done = asyncio.Event()
        self._run(self._follow(pid, wait, {"stdout": out, "stderr": err}, events, done))
        return pid, done

    async def _follow(
        self,
        pid: int,
        wait: Callable[[], Awaitable[int]],
        streams: dict[str, int],
        events: Events,
        done: asyncio.Event,
    ) -> None:
        readers = [
            asyncio.create_task(_pump(name, descriptor, events))
            for name, descriptor in streams.items()
        ]
        try:
            status = await wait()
            # Go's exec waits for the pipes too, as long as somebody holds them.
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            self._running.pop(pid, None)
            _close(self._inputs.pop(pid, None))
            done.set()
        text = f"signal: {-status}" if status < 0 else f"exit status {status}"
        end = process_pb.ProcessEvent.EndEvent(
            exit_code=-1 if status < 0 else status, exited=status >= 0, status=text
        )
        await events.put(process_pb.ProcessEvent(event=Oneof("end", end)))

    async def _kill_later(self, pid: int, seconds: float, done: asyncio.Event) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), seconds)
            return
        await self._machine.ask("kill", pid=pid, signal=signal.SIGKILL)

    async def send_signal(
        self, request: process_pb.SendSignalRequest, ctx: Any, /
    ) -> process_pb.SendSignalResponse:
        selector = request.process.selector if request.process else None
        pid = selector.value if selector is not None else 0
        if pid not in self._running:
            raise ConnectError(Code.NOT_FOUND, f"process with pid {pid} not found")
        await self._machine.ask("kill", pid=pid, signal=int(request.signal))
        return process_pb.SendSignalResponse()

    async def send_input(
        self, request: process_pb.SendInputRequest, ctx: Any, /
    ) -> process_pb.SendInputResponse:
        given = request.input.input if request.input else None
        if given is None or given.field != "stdin":
            raise ConnectError(Code.UNIMPLEMENTED, "input that is not for stdin")
        into = self._input(request.process)
        data = given.value
        try:
            # A process that does not read holds up whoever writes to it, and nobody else.
            await asyncio.to_thread(_write_all, into, data)
        except OSError as error:
            raise ConnectError(Code.INTERNAL, f"error writing to stdin: {error}") from error
        return process_pb.SendInputResponse()

    async def close_stdin(
        self, request: process_pb.CloseStdinRequest, ctx: Any, /
    ) -> process_pb.CloseStdinResponse:
        descriptor = self._input(request.process)
        self._inputs = {pid: each for pid, each in self._inputs.items() if each != descriptor}
        os.close(descriptor)
        return process_pb.CloseStdinResponse()

    def _input(self, process: process_pb.ProcessSelector | None) -> int:
        pid = process.selector.value if process is not None and process.selector else 0
        if not isinstance(pid, int) or pid not in self._running:
            raise ConnectError(Code.NOT_FOUND, f"process with pid {pid} not found")
        if pid not in self._inputs:
            raise ConnectError(Code.FAILED_PRECONDITION, "stdin is not enabled")
        return self._inputs[pid]

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """After the machine was stopped."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def user_of(authorization: str) -> str:
    """Who a request is made as."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "user"
    return base64.b64decode(encoded).decode().partition(":")[0] or "user"


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _close(*descriptors: int | None) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _response(event: process_pb.ProcessEvent) -> process_pb.StartResponse:
    return process_pb.StartResponse(event=event)


async def _pump(name: Any, descriptor: int, events: Events) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        while data := await reader.read(_CHUNK):
            output = process_pb.ProcessEvent.DataEvent(output=Oneof(name, data))
            await events.put(process_pb.ProcessEvent(event=Oneof("data", output)))
    finally:
        transport.close()


class Filesystem(filesystem_connect.Filesystem):
    """The filesystem service of one sandbox."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def stat(self, request: filesystem_pb.StatRequest, ctx: Any, /) -> Any:
        answer = await self._ask("stat", path=absolute(request.path))
        return filesystem_pb.StatResponse(entry=_entry(answer["entry"]))

    async def list_dir(self, request: filesystem_pb.ListDirRequest, ctx: Any, /) -> Any:
        answer = await self._ask("list", path=absolute(request.path), depth=max(request.depth, 1))
        return filesystem_pb.ListDirResponse(entries=[_entry(one) for one in answer["entries"]])

    async def make_dir(self, request: filesystem_pb.MakeDirRequest, ctx: Any, /) -> Any:
        answer = await self._ask("mkdir", path=absolute(request.path))
        return filesystem_pb.MakeDirResponse(entry=_entry(answer["entry"]))

    async def remove(self, request: filesystem_pb.RemoveRequest, ctx: Any, /) -> Any:
        await self._ask("remove", path=absolute(request.path))
        return filesystem_pb.RemoveResponse()

    async def move(self, request: filesystem_pb.MoveRequest, ctx: Any, /) -> Any:
        answer = await self._ask(
            "move", path=absolute(request.source), to=absolute(request.destination)
        )
        return filesystem_pb.MoveResponse(entry=_entry(answer["entry"]))

    async def _ask(self, do: str, **request: Any) -> dict[str, Any]:
        try:
            return await self._machine.ask(do, **request)
        except OSError as error:
            raise ConnectError(_CODES.get(error.errno or 0, Code.INTERNAL), str(error)) from error


_CODES = {
    errno.ENOENT: Code.NOT_FOUND,
    errno.EEXIST: Code.ALREADY_EXISTS,
    errno.ENOTDIR: Code.INVALID_ARGUMENT,
    errno.EISDIR: Code.INVALID_ARGUMENT,
}


def absolute(path: str) -> str:
    """A path as envd reads it: from the home directory."""
    return os.path.normpath(os.path.join(HOME, path))


def _entry(told: dict[str, Any]) -> filesystem_pb.EntryInfo:
    kind = filesystem_pb.FileType.UNSPECIFIED
    if told["directory"]:
        kind = filesystem_pb.FileType.DIRECTORY
    elif told["file"]:
        kind = filesystem_pb.FileType.FILE
    elif told["target"] is not None:
        kind = filesystem_pb.FileType.SYMLINK
    seconds, nanos = divmod(told["modified"], 10**9)
    return filesystem_pb.EntryInfo(
        name=os.path.basename(told["path"]),
        type=kind,
        path=told["path"],
        size=told["size"],
        mode=told["mode"],
        permissions=modes.filemode(told["mode"]),
        owner="user",
        group="user",
        modified_time=Timestamp(seconds=seconds, nanos=nanos),
        symlink_target=told["target"],
    )
