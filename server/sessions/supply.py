"""Sandboxes from the backend, and back: what was created is closed, whatever happens."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from ..sandbox import (
    Backend,
    Sandbox,
    SandboxBusy,
    SandboxRequest,
    SandboxUnavailable,
    TeamBackend,
)
from .clock import Clock, finishes_within
from .settings import SessionSettings

logger = logging.getLogger(__name__)

# A backend that is busy without saying for how long is asked again after this.
_RETRY_SECONDS = 1.0

# What the backend has of `close_seconds`, if its sandboxes have used up all of it.
_BACKEND_SHARE = 0.2


class Supply:
    """Creates and closes sandboxes, and knows which are open."""

    def __init__(self, backend: Backend, settings: SessionSettings, clock: Clock) -> None:
        self._backend = backend
        self._settings = settings
        self._clock = clock
        self._open: list[Sandbox] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def create(self, request: SandboxRequest) -> Sandbox:
        """A new sandbox; while the backend is busy, ask again as long as a call may wait.

        Raises what `Backend.create` raises, and SandboxUnavailable once the server stops.
        """
        deadline = self._clock.monotonic() + self._settings.queue_wait_seconds
        while True:
            try:
                sandbox = await self._backend.create(request)
                break
            except SandboxBusy as busy:
                pause = _RETRY_SECONDS if busy.retry_after is None else busy.retry_after
                if self._stopped or self._clock.monotonic() + pause > deadline:
                    raise
            await self._clock.sleep(pause)
        self._open.append(sandbox)
        if self._stopped:
            await self.close(sandbox)
            raise SandboxUnavailable("proofbox is shutting down; nothing was run.")
        return sandbox

    def take_over(self, sandbox: Sandbox) -> None:
        """One that another process has created is ours to close now."""
        self._open.append(sandbox)

    async def let_go(self, sandbox: Sandbox) -> None:
        """One is another's to close now."""
        if sandbox in self._open:
            self._open.remove(sandbox)
        if isinstance(self._backend, TeamBackend):
            await self._backend.let_go(sandbox)

    async def close(self, sandbox: Sandbox) -> None:
        """Close it, within the time that a close may take, even if the caller is cancelled."""

        async def close() -> None:
            try:
                await sandbox.close()
            except Exception:
                logger.exception("Could not close sandbox %s", sandbox.id)

        with anyio.CancelScope(shield=True):
            if not await self._ends_within(self._settings.close_seconds, close):
                logger.warning("Sandbox %s did not close in time", sandbox.id)
        if sandbox in self._open:
            self._open.remove(sandbox)

    async def close_all(self) -> None:
        """Close every sandbox, all at once, then the backend; nothing is created any more.

        Takes at most `close_seconds`, and a fifth of it for the backend if the sandboxes took all.
        """

        async def close_backend() -> None:
            try:
                await self._backend.close()
            except Exception:
                logger.exception("Could not close the %s backend", self._backend.name)

        self._stopped = True
        seconds = self._settings.close_seconds
        deadline = self._clock.monotonic() + seconds
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as closing:
                for sandbox in self._open:
                    closing.start_soon(self.close, sandbox)
            left = max(deadline - self._clock.monotonic(), _BACKEND_SHARE * seconds)
            if not await self._ends_within(left, close_backend):
                logger.warning("The %s backend did not close in time", self._backend.name)

    async def _ends_within(
        self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> bool:
        """Whether the work was done in time. If not, it goes on without us: a backend shields its own
        cleaning up, so that a cancellation would have to be waited for.
        """
        task = asyncio.create_task(work())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return await finishes_within(self._clock, seconds, lambda: asyncio.wait({task}))
