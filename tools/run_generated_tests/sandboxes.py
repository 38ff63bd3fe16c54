"""One sandbox for all the runs of a suite, and another one when it is lost."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ...server.programs import OpenSandbox
from ...server.sandbox import Program, ProgramResult, ProgramRunner, SandboxUnavailable
from .._context import App

# Not every template or choice of an operator has them.
_OURS = ("pytest", "coverage")


class _Watched:
    """A sandbox that remembers that it was lost."""

    def __init__(self, runner: ProgramRunner) -> None:
        self._runner = runner
        self.lost = False

    async def run_program(self, program: Program) -> ProgramResult:
        try:
            return await self._runner.run_program(program)
        except SandboxUnavailable:
            self.lost = True
            raise


@asynccontextmanager
async def sandboxes(
    app: App, who: str, packages: tuple[str, ...], python: str = ""
) -> AsyncGenerator[OpenSandbox]:
    """Where `programs.run` opens its sandboxes: all the same one while it lives. Closed at the end.

    Raises:
        InvalidInput: packages that cannot be had, or no such Python.
        SandboxError: there is none.
    """

    @asynccontextmanager
    async def fresh() -> AsyncGenerator[_Watched]:
        wanted = (*packages, *_OURS)
        lease = app.sessions.lease_once(
            who, packages=wanted, purpose="tests", python=python, programs_only=True
        )
        async with lease as held:
            yield _Watched(held.programs)

    async with fresh() as first:

        @asynccontextmanager
        async def opened() -> AsyncGenerator[ProgramRunner]:
            if not first.lost:
                yield first
                return
            async with fresh() as other:
                yield other

        yield opened
