"""Who runs beside others and who runs alone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """Many may run at a time, or one alone; who wants to be alone is waited for by those who come later."""

    def __init__(self) -> None:
        self._changed = anyio.Condition()
        self._running = 0
        self._alone = anyio.Lock()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[None]:
        """Run beside others."""
        async with self._alone, self._changed:
            self._running += 1
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Run when nobody else does."""
        async with self._alone:
            async with self._changed:
                while self._running:
                    await self._changed.wait()
            yield
