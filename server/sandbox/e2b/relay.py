"""Programs in an E2B sandbox: the client of the guest's relay.

The guest is written into the sandbox as root's, and started as a command of root's. Its stdin and stdout carry the
sockets of all programs, so that what drives a program in a local jail drives it here too.
"""

import asyncio
import base64
import itertools
import logging
import secrets
import shlex
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import anyio
from e2b.sandbox.filesystem.filesystem import WriteEntry
from e2b_code_interpreter import AsyncSandbox

from ..base import Limits
from ..driving.connection import Connection
from ..errors import SandboxError, SandboxRejected, SandboxUnavailable
from ..guest import wire
from .failures import translated

logger = logging.getLogger(__name__)

_GUEST = Path(wire.__file__).parent
_PLACE = "/opt/proofbox"
_OLDEST_PYTHON = (3, 9)
_START_SECONDS = 60.0
_SEND_SECONDS = 30.0
_KILL_SECONDS = 10.0
_LAST_WORDS_SECONDS = 2.0
# One request's worth: what is larger goes in parts.
_MOST_SENT = 1024**2
# Far more than the guest says in one line; past it, somebody else is talking.
_LONGEST_LINE = 8 * 1024**2
_STDERR_KEPT = 2000
_GONE = (
    "The E2B sandbox was lost while a program ran in it: it was killed, reached the end of its life, or cannot "
    "be reached. What the program would have done is not known."
)

Isolation = Literal["namespaces", "process"]


class _Channel(asyncio.Transport):
    """One program's socket, as its `Connection` sees it."""

    def __init__(self, relay: "Relay", number: int) -> None:
        super().__init__()
        self._relay = relay
        self._number = number

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._relay.send({"op": "data", "channel": self._number}, bytes(data))

    def abort(self) -> None:
        self._relay.hang_up(self._number)


class Relay:
    """The relay of one sandbox. Made by `start`; `alive` until it or the sandbox is lost, or `close`.

    `isolation` is what keeps its programs apart: namespaces of their own where the sandbox's kernel allows
    it, else only users and directories of their own (and no network at all).
    """

    def __init__(self, sdk: AsyncSandbox) -> None:
        self.alive = True
        self.isolation: Isolation = "namespaces"
        self._sdk = sdk
        self._mark = secrets.token_hex(16)
        self._marked = False
        self._pid: int | None = None
        self._up: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._channels: dict[int, Connection] = {}
        self._numbers = itertools.count(1)
        self._outbox = bytearray()
        self._filled = asyncio.Event()
        self._line = ""
        self._reader = wire.FrameReader()
        self._stderr = ""
        self._out_of_memory_kills = 0
        self._out_of_memory_kills_seen = 0
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        sdk: AsyncSandbox,
        *,
        python: str,
        version: str,
        limits: Limits,
        preload: Sequence[str],
        site: bool = True,
    ) -> "Relay":
        """Start one with the interpreter `python`, whose programs have imported `preload` already. Without
        `site` it knows no packages, so that nothing of them runs in it.

        Raises:
            SandboxRejected: the template's Python is too old, or its root is not allowed what it takes.
            SandboxUnavailable: the sandbox was lost, or the guest did not start.
        """
        if _numbers(version) < _OLDEST_PYTHON:
            raise SandboxRejected(
                f"The E2B template has Python {version}; programs need 3.9 or newer. Use E2B's code interpreter "
                "template or one built from it."
            )
        relay = cls(sdk)
        try:
            with translated("start the programs' supervisor"), anyio.fail_after(_START_SECONDS):
                await sdk.files.write_files(_guest_files(), user="root")
                await relay._launch(python, site=site)
                relay.send({"op": "start", "limits": asdict(limits), "preload": list(preload)})
                relay._accept(await relay._up)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await relay.close()
            raise
        return relay

    async def _launch(self, python: str, *, site: bool) -> None:
        code = (
            f"import sys; sys.path.insert(0, {_PLACE!r}); from proofbox_guest import relay; "
            f"sys.path.remove({_PLACE!r}); relay.main({self._mark!r})"
        )
        handle = await self._sdk.commands.run(
            f"exec {shlex.quote(python)} -B {'' if site else '-S '}-c {shlex.quote(code)}",
            background=True,
            stdin=True,
            user="root",
            cwd="/",
            on_stdout=self._take_text,
            on_stderr=self._take_complaint,
            timeout=0,
            retain_output=False,
        )
        self._pid = handle.pid

        async def send() -> None:
            while True:
                await self._filled.wait()
                self._filled.clear()
                while self._outbox:
                    part = bytes(self._outbox[:_MOST_SENT])
                    del self._outbox[:_MOST_SENT]
                    with anyio.fail_after(_SEND_SECONDS):
                        await handle.send_stdin(part)

        async def follow() -> None:
            try:
                await handle.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await handle.disconnect()

        following = asyncio.create_task(self._until_lost(follow()))
        self._tasks = [following, asyncio.create_task(self._until_lost(send(), following))]

    async def _until_lost(
        self, work: Coroutine[Any, Any, None], last_words: "asyncio.Task[None] | None" = None
    ) -> None:
        try:
            with translated("talk to the programs' supervisor"):
                await work
        except SandboxError as error:
            logger.info("The supervisor of programs in an E2B sandbox was lost: %s", error)
            if last_words is not None:
                # It may be saying why.
                await asyncio.wait({last_words}, timeout=_LAST_WORDS_SECONDS)
        finally:
            self._lose()

    def _accept(self, up: dict[str, Any]) -> None:
        self.isolation = up["isolation"]
        self._out_of_memory_kills_seen = self._out_of_memory_kills
        if up["refusal"]:
            raise SandboxRejected(
                "Programs cannot be kept apart in sandboxes of this E2B template, so nothing was run. Use E2B's code "
                f"interpreter template or one built from it. ({up['problem']}; {up['refusal']})"
            )
        if up["problem"]:
            logger.warning(
                "Programs in this E2B sandbox have no namespaces of their own: %s", up["problem"]
            )

    async def open_program(self) -> tuple[Connection, dict[str, Any]]:
        """A new program's keeper and its first message.

        Raises:
            SandboxUnavailable: the relay is gone or does not answer; nothing was started.
        """
        if not self.alive:
            raise SandboxUnavailable(_GONE)
        ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        number = next(self._numbers)
        connection = Connection(ready, _GONE)
        self._channels[number] = connection
        connection.connection_made(_Channel(self, number))
        self.send({"op": "open", "channel": number})
        try:
            async with asyncio.timeout(_START_SECONDS):
                first = await ready
        except BaseException as error:
            connection.abort()
            if isinstance(error, TimeoutError):
                raise SandboxUnavailable(
                    "A program did not start within a minute in the E2B sandbox. It may be overloaded."
                ) from error
            raise
        return connection, {**first, "isolation": self.isolation}

    def take_oom_kill(self) -> bool:
        """Whether the machine killed a process for lack of memory that nobody has asked about."""
        if self._out_of_memory_kills <= self._out_of_memory_kills_seen:
            return False
        self._out_of_memory_kills_seen += 1
        return True

    def send(self, message: wire.Message, body: bytes = b"") -> None:
        """Put a frame on the way to the relay."""
        if self.alive:
            self._outbox += wire.encode(message, body)
            self._filled.set()

    def hang_up(self, number: int) -> None:
        """End a program's session from this side."""
        connection = self._channels.pop(number, None)
        if connection is not None:
            self.send({"op": "close", "channel": number})
            asyncio.get_running_loop().call_soon(connection.connection_lost, None)

    async def forget(self) -> None:
        """Stop listening: whoever waits for a program is told that it was lost. Idempotent."""
        self._lose()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_KILL_SECONDS)

    async def close(self) -> None:
        """Kill it, and with it all programs. Idempotent; never raises SandboxError."""
        await self.forget()
        if self._pid is not None:
            pid, self._pid = self._pid, None
            with (
                suppress(SandboxError),
                translated("end the programs' supervisor"),
                anyio.move_on_after(_KILL_SECONDS),
            ):
                await self._sdk.commands.kill(pid)

    def _lose(self) -> None:
        """Nothing can be said or heard any more."""
        self.alive = False
        if not self._up.done():
            self._up.set_exception(
                SandboxUnavailable(
                    "The supervisor of programs did not start in the E2B sandbox. It said: "
                    f"{self._stderr.strip()[-500:] or 'nothing'}"
                )
            )
            self._up.exception()  # seen, should nobody wait for it
        channels, self._channels = self._channels, {}
        for connection in channels.values():
            connection.connection_lost(None)

    def _take_complaint(self, text: str) -> None:
        self._stderr = (self._stderr + text)[-_STDERR_KEPT:]

    def _take_text(self, text: str) -> None:
        try:
            self._read(text)
        except (ValueError, KeyError, wire.WireError):
            logger.warning("The supervisor of programs in an E2B sandbox does not make sense")
            self._lose()

    def _read(self, text: str) -> None:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if self._marked and line:
                for message, body in self._reader.feed(base64.b64decode(line, validate=True)):
                    self._take(message, body)
            self._marked = self._marked or line == self._mark
        if len(self._line) > _LONGEST_LINE:
            raise wire.WireError("endless line")

    def _take(self, message: wire.Message, body: bytes) -> None:
        self._out_of_memory_kills = message["out_of_memory_kills"]
        if message["t"] == "up":
            if not self._up.done():
                self._up.set_result(message)
            return
        number = message["channel"]
        connection = self._channels.get(number)
        if connection is None:
            return  # we have hung up, and word of that is on its way
        if message["t"] == "closed":
            del self._channels[number]
            connection.connection_lost(None)
        else:
            connection.data_received(body)


def _guest_files() -> list[WriteEntry]:
    return [
        WriteEntry(path=f"{_PLACE}/proofbox_guest/{path.name}", data=path.read_bytes())
        for path in sorted(_GUEST.glob("*.py"))
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
