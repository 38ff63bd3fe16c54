"""The sandboxes of a suite: they stay open from run to run, and a lost one is replaced."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ...server.programs import Kept, OpenSandbox
from ...server.sandbox import ProgramRunner
from .._app import App

# Not every template or choice of an operator has them.
_OURS = ("pytest", "coverage")


@asynccontextmanager
async def sandboxes(
    app: App, who: str, packages: tuple[str, ...], python: str = ""
) -> AsyncGenerator[OpenSandbox]:
    """Where `programs.run` opens its sandboxes. The first is there at once; all are closed at the end.

    Raises:
        InvalidInput: packages that cannot be had, or no such Python.
        SandboxError: there is none.
    """

    @asynccontextmanager
    async def fresh() -> AsyncGenerator[ProgramRunner]:
        lease = app.sessions.lease_once(
            who,
            packages=(*packages, *_OURS),
            purpose="tests",
            python=python,
            programs_only=True,
        )
        async with lease as held:
            yield held.programs

    async with Kept(fresh) as kept:
        async with kept.open():
            pass  # now, so that what cannot be had is said before anything else
        yield kept.open
