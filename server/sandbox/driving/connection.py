"""The socket to a session's keeper, as asyncio sees it."""

import asyncio
import codecs
import itertools
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from ..base import OnOutput
from ..errors import InvalidInput, SandboxUnavailable
from ..guest import wire
from ..results import Stream
from .answers import as_unicode

_READY_SECONDS = 60.0
_FILE_SECONDS = 30.0
# The keeper ends things at the deadline, a second later if it must kill; past this it is itself lost.
_BACKSTOP_SECONDS = 15.0
# Less than the keeper takes, since on its way there it may get a wrapping.
_LARGEST_REQUEST = wire.MAX_FRAME // 2
LOST = (
    "The sandbox was lost while it worked: its process on this machine is gone. Its variables and files "
    "are lost too. Start again in a new session."
)


@dataclass
class Call:
    """One request under way and what has come back so far. `failure` is what `on_output` raised."""

    number: int
    on_output: OnOutput | None
    done: "asyncio.Future[tuple[dict[str, Any], bytes]]"
    output: dict[Stream, bytearray] = field(
        default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()}
    )
    tails: dict[Stream, bytes] = field(default_factory=dict[Stream, bytes])
    displays: list[tuple[bool, bytes]] = field(default_factory=list[tuple[bool, bytes]])
    failure: Exception | None = None
    _decoders: dict[Stream, codecs.IncrementalDecoder] = field(
        default_factory=dict[Stream, codecs.IncrementalDecoder]
    )

    def take(self, message: dict[str, Any], body: bytes) -> None:
        """A frame that belongs to this call."""
        match message["t"]:
            case "out":
                self._take_output(message["s"], body)
            case "tail":
                self.tails[message["s"]] = body
            case "display":
                self.displays.append((message["main"], body))
            case "done" if not self.done.done():
                self.done.set_result((message, body))
            case _:
                pass

    def _take_output(self, stream: Stream, body: bytes) -> None:
        self.output[stream] += body
        if self.on_output is None:
            return
        if stream not in self._decoders:
            self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        if text := self._decoders[stream].decode(body):
            try:
                self.on_output(stream, text)
            except Exception as error:  # noqa: BLE001 - the caller's own, which goes back to it
                self.on_output, self.failure = None, error


class Connection(asyncio.Protocol):
    """Frames from the keeper, handed to the call under way. `gone` is said when there are no more.

    `ready` gets its first message, where it is to announce itself.
    """

    def __init__(self, ready: "asyncio.Future[dict[str, Any]] | None", gone: str = LOST) -> None:
        self.transport: asyncio.Transport | None = None
        self.call: Call | None = None
        self.lost = False
        self._ready = ready
        self._gone = gone
        self._numbers = itertools.count(1)
        self._reader = wire.FrameReader()

    def abort(self) -> None:
        """Hang up; the keeper kills the session."""
        self.lost = True
        if self.transport is not None:
            self.transport.abort()

    async def request(
        self,
        request: dict[str, Any],
        body: bytes,
        timeout: float,
        on_output: OnOutput | None = None,
    ) -> tuple[Call, dict[str, Any], bytes]:
        """Ask the keeper for one thing; the call with its output, and the last message and its body.

        One at a time. If the caller is cancelled, what was asked for is stopped first.

        Raises:
            InvalidInput: it is more than can be sent; nothing was asked.
            SandboxUnavailable: the keeper is gone, or did not answer long after `timeout` seconds.
        """
        if self.lost or self.transport is None:
            raise SandboxUnavailable(self._gone)
        done: asyncio.Future[tuple[dict[str, Any], bytes]]
        done = asyncio.get_running_loop().create_future()
        call = Call(next(self._numbers), on_output, done)
        frame = _frame({**request, "id": call.number, "timeout": timeout}, body)
        self.call = call
        self.transport.write(frame)
        try:
            finished, _ = await asyncio.wait({done}, timeout=timeout + _BACKSTOP_SECONDS)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._stop(call)
            raise
        finally:
            self.call = None
        if not finished:
            self.abort()
            raise SandboxUnavailable(self._gone, may_have_started=True)
        answer, content = done.result()
        if call.failure is not None:
            raise call.failure
        if reason := answer.get("not_started"):
            raise SandboxUnavailable(
                f"The sandbox could not start a process: {reason}. The machine, or this user's other "
                "sandboxes, have as many as there may be. Nothing was run; try again later."
            )
        return call, answer, content

    async def file_request(
        self, request: dict[str, Any], body: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        """The same for a file operation.

        Raises:
            InvalidInput: the path is wrong, or the disk is full.
            SandboxUnavailable: as for `request`, or something in the session killed the operation.
        """
        _, message, content = await self.request(request, body, _FILE_SECONDS)
        if error := message.get("error"):
            if message["errno"] in ("EINTR", "ETIMEDOUT"):
                raise SandboxUnavailable(str(error), may_have_started=True)
            raise InvalidInput(as_unicode(str(error)))
        return message, content

    async def _stop(self, call: Call) -> None:
        """The caller gave up: have the work stopped before that goes on."""
        self._cancel(call)
        finished, _ = await asyncio.wait({call.done}, timeout=_BACKSTOP_SECONDS)
        if not finished:
            self.abort()
        elif not call.done.cancelled():
            call.done.exception()  # seen, so that asyncio does not complain

    def _cancel(self, call: Call) -> None:
        if self.transport is not None and not self.lost:
            self.transport.write(wire.encode({"op": "cancel", "id": call.number}))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for message, body in self._reader.feed(data):
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(message)
            elif message["t"] == "failed":
                self._gone = could_not_start(message)
                self.lost = True  # for what is yet to be asked
                self._fail()
            elif self.call is not None and message.get("id") == self.call.number:
                had_failed = self.call.failure is not None
                self.call.take(message, body)
                if self.call.failure is not None and not had_failed:
                    self._cancel(self.call)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._ready is not None and not self._ready.done():
            self._ready.set_result({"t": "gone"})
        self._fail()

    def _fail(self) -> None:
        if self.call is not None and not self.call.done.done():
            self.call.done.set_exception(SandboxUnavailable(self._gone, may_have_started=True))


def _frame(message: dict[str, Any], body: bytes) -> bytes:
    frame = wire.encode(message, body)
    if len(frame) > _LARGEST_REQUEST:
        raise InvalidInput(
            f"The code, its variables and arguments are {len(frame):,} bytes, and at most {_LARGEST_REQUEST:,} can be sent."
            " Put large data into files."
        )
    return frame


def encode_code(code: str) -> bytes:
    """What goes over the wire.

    Raises:
        InvalidInput: it is no text.
    """
    try:
        return code.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"The code is not valid Unicode: half of a surrogate pair at character {error.start}."
        ) from error


def check_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The same, if they can be environment variables.

    Raises:
        InvalidInput: they cannot.
    """
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise InvalidInput(f"{name!a} cannot be the name of an environment variable.")
        if re.search("[\0\ud800-\udfff]", value):
            raise InvalidInput(
                f"The environment variable {name} holds a NUL or half of a surrogate pair."
            )
    return dict(variables)


def could_not_start(first: Mapping[str, Any]) -> str:
    """What to say of a program whose keeper's first message is this one."""
    return f"A program could not be started: {first.get('error', 'its sandbox is gone')}."


async def attach(connected: socket.socket) -> Connection:
    """Take over a socket to a keeper that does not announce itself."""
    connected.setblocking(False)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_unix_connection(lambda: Connection(None), sock=connected)
    return connection


async def connect(
    connected: socket.socket,
) -> tuple[Connection, dict[str, Any]]:
    """Take over a socket to a keeper; its first message, `gone` if it hung up instead.

    Raises:
        SandboxUnavailable: no word within a minute.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[dict[str, Any]] = loop.create_future()
    connected.setblocking(False)
    transport, connection = await loop.create_unix_connection(
        lambda: Connection(ready), sock=connected
    )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            return connection, await ready
    except BaseException as error:
        transport.abort()
        if isinstance(error, TimeoutError):
            raise SandboxUnavailable(
                "The local sandbox did not start within a minute. The machine may be overloaded."
            ) from error
        raise
