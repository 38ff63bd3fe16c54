"""A sandbox without a session: it runs programs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ..base import OnOutput, Program
from ..driving import answers, programs
from ..driving.connection import LOST
from ..errors import InvalidInput, SandboxUnavailable
from ..results import CommandResult, Execution, FileInfo, ProgramResult

_NO_SESSION = "This sandbox has no interpreter for sessions: it was made for programs only."


class ProgramsOnly:
    """See the port; everything but programs is an InvalidInput. `on_close` is called once."""

    def __init__(
        self,
        *,
        name: str,
        python: str,
        open_program: programs.Open,
        on_close: Callable[[], Awaitable[None]],
        ran_out_of_memory: answers.RanOutOfMemory,
    ) -> None:
        self._name = name
        self._python = python
        self._open_program = open_program
        self._on_close = on_close
        self._ran_out_of_memory = ran_out_of_memory
        self._closed = False

    @property
    def id(self) -> str:
        return self._name

    @property
    def python(self) -> str:
        return self._python

    async def run_program(self, program: Program) -> ProgramResult:
        if self._closed:
            raise SandboxUnavailable(LOST)
        return await programs.run(self._open_program, program, self._ran_out_of_memory)

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        raise InvalidInput(_NO_SESSION)

    async def run_command(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        raise InvalidInput(_NO_SESSION)

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        raise InvalidInput(_NO_SESSION)

    async def read_file(
        self, path: str, *, offset: int = 0, max_bytes: int = 16 * 1024**2
    ) -> bytes:
        raise InvalidInput(_NO_SESSION)

    async def list_files(self, path: str = ".", *, depth: int = 1) -> list[FileInfo]:
        raise InvalidInput(_NO_SESSION)

    async def keep_alive(self, seconds: float) -> None:
        if self._closed:
            raise SandboxUnavailable(LOST)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._on_close()
