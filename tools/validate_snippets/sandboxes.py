"""Where the programs of a validation run: sandboxes of whoever asked, kept from round to round."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

from ...server import programs
from ...server.programs import Ran
from ...server.sandbox import Program, ProgramRunner, ProofboxError
from .._app import App

LANES = 2


class Sandboxes:
    """Leases of one principal, while inside. `packages` and `preload` hold for the next run.

    `trouble` is why one could not be had.
    """

    def __init__(self, app: App, who: str, packages: tuple[str, ...]) -> None:
        self.packages = packages
        self.preload: tuple[str, ...] = ()
        self.trouble: ProofboxError | None = None
        self._app = app
        self._who = who
        self._kept = programs.Kept(self._open)
        self._opened_with = packages, self.preload

    @property
    def losses(self) -> int:
        """How many were lost."""
        return self._kept.losses

    async def __aenter__(self) -> Self:
        await self._kept.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._kept.__aexit__(kind, error, trace)

    def run(self, wanted: Iterable[Program]) -> AbstractAsyncContextManager[AsyncIterator[Ran]]:
        """Run programs; see `programs.run`."""
        if self._opened_with != (self.packages, self.preload):
            self._kept.renew()
            self._opened_with = self.packages, self.preload
        spread = self._app.sessions.spread
        return programs.run(wanted, self._kept.open, sandboxes=spread, lanes=LANES)

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[ProgramRunner]:
        try:
            async with self._app.sessions.lease_once(
                self._who,
                packages=self.packages,
                purpose="snippets",
                preload=self.preload,
                programs_only=True,
            ) as lease:
                yield lease.programs
        except ProofboxError as error:
            self.trouble = error
            raise
