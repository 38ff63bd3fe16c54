"""What every local sandbox does, and one without a session."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ..base import OnOutput, Program
from ..driving import answers, programs
from ..driving.connection import LOST
from ..errors import InvalidInput, SandboxUnavailable
from ..results import CommandResult, Execution, FileInfo, ProgramResult

_NO_SESSION = "This sandbox has no interpreter for sessions: it was made for programs only."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sandbox is.

    Attributes:
        name: the sandbox's.
        python: the version of its interpreter.
        open_program: starts a program in the jail for them.
        on_close: called once, when the sandbox is closed.
        ran_out_of_memory: whether that jail has since the last question.
    """

    name: str
    python: str
    open_program: programs.Open
    on_close: Callable[[], Awaitable[None]]
    ran_out_of_memory: answers.RanOutOfMemory


class Programs:
    """Runs programs, until it is closed; see the port."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._closed = False

    @property
    def id(self) -> str:
        return self._place.name

    @property
    def python(self) -> str:
        return self._place.python

    async def run_program(self, program: Program) -> ProgramResult:
        if self._closed:
            raise SandboxUnavailable(LOST)
        return await programs.run(self._place.open_program, program, self._place.ran_out_of_memory)

    async def keep_alive(self, seconds: float) -> None:
        if self._closed:
            raise SandboxUnavailable(LOST)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._place.on_close()


class ProgramsOnly(Programs):
    """See the port; everything but programs is an InvalidInput."""

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
