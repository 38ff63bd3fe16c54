"""A session in a jail, as the port's `Sandbox`: the client of its keeper."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio

from ..base import CommandResult, Execution, FileInfo, OnOutput, Program, ProgramResult
from ..errors import InvalidInput, SandboxUnavailable
from . import answers, programs
from .connection import LOST, Call, Connection, check_environment, encode_code

_CHUNK = 1024**2


class LocalSandbox:
    """See the port. `on_close` is called once, when it is closed or lost."""

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        python: str,
        languages: frozenset[str],
        open_program: programs.Open,
        on_close: Callable[[], Awaitable[None]],
        ran_out_of_memory: answers.RanOutOfMemory,
    ) -> None:
        self._connection = connection
        self._name = name
        self._python = python
        self._languages = languages
        self._open_program = open_program
        self._on_close = on_close
        self._ran_out_of_memory = ran_out_of_memory
        self._lock = anyio.Lock()
        self._closed = False

    @property
    def id(self) -> str:
        return self._name

    @property
    def python(self) -> str:
        return self._python

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
        }
        call, message, _ = await self._request(request, encode_code(code), timeout, on_output)
        return answers.execution(
            message, call, timeout=timeout, ran_out_of_memory=self._ran_out_of_memory
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
            message, call, timeout=timeout, ran_out_of_memory=self._ran_out_of_memory
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
        message, _ = await self._file_request({"op": "list", "path": path, "depth": depth})
        # A name need not be text; one that is none can be shown, but not asked for.
        return [FileInfo(answers.as_unicode(path), *facts) for path, *facts in message["entries"]]

    async def run_program(self, program: Program) -> ProgramResult:
        return await programs.run(self._open_program, program, self._ran_out_of_memory)

    async def keep_alive(self, seconds: float) -> None:
        if self._connection.lost or self._closed:
            raise SandboxUnavailable(LOST)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._connection.abort()
            await self._on_close()

    async def _file_request(
        self, request: dict[str, Any], body: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        async with self._lock:
            return await self._connection.file_request(request, body)

    async def _request(
        self, request: dict[str, Any], body: bytes, timeout: float, on_output: OnOutput | None
    ) -> tuple[Call, dict[str, Any], bytes]:
        async with self._lock:
            return await self._connection.request(request, body, timeout, on_output)
