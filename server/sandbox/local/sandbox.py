"""A session in a jail, as the port's `Sandbox`: the client of its keeper."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from .. import bash
from ..base import OnOutput
from ..driving import answers
from ..driving.connection import LOST, Call, Connection, check_environment, encode_code
from ..errors import InvalidInput, SandboxUnavailable
from ..results import CommandResult, Execution, FileInfo
from .programs import Place, Programs

_CHUNK = 1024**2
_AHEAD_SECONDS = 0.05


class _Ahead:
    """A listing that comes with the end of code, for the caller who asks for one after each run.

    It saves a round trip where one is a tenth of a call. What it says is as true as an answer that was
    asked for at once would be, so it is good for a moment only.
    """

    def __init__(self) -> None:
        self._habit: dict[str, Any] | None = None
        self._entries: list[Any] | None = None
        self._until = 0.0

    def wanted(self) -> dict[str, Any] | None:
        """What the last caller asked for, unless the last answer was not wanted."""
        if self._entries is not None:
            self._habit = None
        return self._habit

    def keep(self, entries: list[Any] | None) -> None:
        """What came with the end of the code."""
        self._entries, self._until = entries, time.monotonic() + _AHEAD_SECONDS

    def take(self, place: dict[str, Any]) -> list[Any] | None:
        """The listing, if it is this one and fresh; remembers what is asked for."""
        entries = self._entries if place == self._habit and time.monotonic() < self._until else None
        self._habit, self._entries = place, None
        return entries

    def forget(self) -> None:
        """Something else is asked of the sandbox."""
        self._until = 0.0


class LocalSandbox(Programs):
    """See the port. `session_ran_out_of_memory` says it of the jail that the session is in."""

    def __init__(
        self,
        connection: Connection,
        place: Place,
        *,
        languages: frozenset[str],
        session_ran_out_of_memory: answers.RanOutOfMemory,
    ) -> None:
        super().__init__(place)
        self._connection = connection
        self._languages = languages
        self._session_ran_out_of_memory = session_ran_out_of_memory
        self._lock = anyio.Lock(fast_acquire=True)
        self._ahead = _Ahead()

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        if language not in self._languages:
            known = ", ".join(sorted(self._languages))
            raise InvalidInput(f"The local sandbox cannot run {language!r}. It runs: {known}.")
        request = {
            "op": "run",
            "language": language,
            "env": check_environment(env or {}),
            "timeout": timeout,
            "list": self._ahead.wanted(),
        }
        code = bash.honest(code) if language == "bash" else code
        call, message, _ = await self._request(request, encode_code(code), timeout, on_output)
        self._ahead.keep(message.get("entries"))
        return answers.execution(
            message, call, timeout=timeout, ran_out_of_memory=self._session_ran_out_of_memory
        )

    async def run_command(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else list(command)
        if not argv:
            raise InvalidInput("The command is empty.")
        request = {"op": "command", "argv": argv, "cwd": cwd, "env": check_environment(env or {})}
        call, message, _ = await self._request(
            {**request, "timeout": timeout}, b"", timeout, on_output
        )
        if message.get("no_directory"):
            raise InvalidInput(f"The command's directory {cwd!a} does not exist.")
        return answers.command_result(
            message, call, timeout=timeout, ran_out_of_memory=self._session_ran_out_of_memory
        )

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            for start in range(0, max(1, len(content)), _CHUNK):
                request = {"op": "write", "path": path, "append": start > 0}
                await self._file_request(request, content[start : start + _CHUNK])

    async def read_file(
        self, path: str, *, offset: int = 0, max_bytes: int = 16 * 1024**2
    ) -> bytes:
        content = bytearray()
        while len(content) < max_bytes:
            size = min(_CHUNK, max_bytes - len(content))
            place = {"offset": offset + len(content), "size": size}
            _, body = await self._file_request({"op": "read", "path": path, **place})
            content += body
            if len(body) < size:
                break
        return bytes(content)

    async def list_files(self, path: str = ".", *, depth: int = 1) -> list[FileInfo]:
        place = {"path": path, "depth": depth}
        entries = self._ahead.take(place)
        if entries is None:
            message, _ = await self._file_request({"op": "list", **place})
            entries = message["entries"]
        # A name need not be text; one that is none can be shown, but not asked for.
        return [FileInfo(answers.as_unicode(path), *facts) for path, *facts in entries]

    async def keep_alive(self, seconds: float) -> None:
        if self._connection.lost:
            raise SandboxUnavailable(LOST)
        await super().keep_alive(seconds)

    async def close(self) -> None:
        self._connection.abort()
        await super().close()

    async def _file_request(
        self, request: dict[str, Any], body: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        async with self._lock:
            self._ahead.forget()
            return await self._connection.file_request(request, body)

    async def _request(
        self, request: dict[str, Any], body: bytes, timeout: float, on_output: OnOutput | None
    ) -> tuple[Call, dict[str, Any], bytes]:
        async with self._lock:
            self._ahead.forget()
            return await self._connection.request(request, body, timeout, on_output)
