"""A sandbox in which every call is a program: what tests of a pull request run in, attacked like a session."""

from collections.abc import Mapping, Sequence

from proofbox.server.sandbox import (
    Cell,
    CommandResult,
    Execution,
    Program,
    ProgramRunner,
    Result,
)


class ProgramSandbox:
    """The part of `Sandbox` that attacks use. What completed runs again before the next call, since no
    program keeps anything.
    """

    def __init__(self, runner: ProgramRunner) -> None:
        self._runner = runner
        # As the processes of tests do: packages are not known before that.
        self._before: tuple[Cell, ...] = (Cell("import site\nsite.main()"),)
        self._files: dict[str, bytes] = {}

    async def run_code(self, code: str, *, timeout: float = 30.0) -> Execution:
        """Run code after what ran before it."""
        cells = (*self._before, Cell(code, f"<cell {len(self._before)}>"))
        result = await self._runner.run_program(
            Program("attack", cells, files=self._files, timeout=timeout)
        )
        if len(result.cells) < len(cells):
            return Execution(result.outcome, result.reason)
        last = result.cells[-1]
        if last.outcome == "completed":
            self._before = cells
        shown = () if last.value is None else (Result({"text/plain": last.value}, is_main=True),)
        return Execution(last.outcome, last.reason, last.stdout, last.stderr, shown, last.error)

    async def run_command(
        self, command: str | Sequence[str], *, timeout: float = 60.0
    ) -> CommandResult:
        """Run a command by itself."""
        words = ("bash", "-c", command) if isinstance(command, str) else tuple(command)
        result = await self._runner.run_program(
            Program("attack", command=words, files=self._files, timeout=timeout)
        )
        (only,) = result.cells
        return CommandResult(
            "exited" if result.exit_code is not None else result.outcome,
            result.exit_code,
            result.reason,
            only.stdout,
            only.stderr,
        )

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        """For the programs from now on."""
        self._files |= files

    async def close(self) -> None:
        """Nothing is open."""
