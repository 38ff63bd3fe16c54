"""The jails that run: who takes one has it for as long, and of those that nobody is in, the last few are kept."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

import anyio

from ..errors import SandboxUnavailable

Key = tuple[object, ...]

# Starting one anew takes a second of processor time. One that nobody is in takes some 35 MB.
_IDLE_KEPT = 8
# After so long without anybody in it, fewer are enough.
_LONG_SECONDS = 300.0
_KEPT_LONG = 2


class _Jail(Protocol):
    sessions: int
    idle_since: float

    @property
    def alive(self) -> bool: ...

    async def close(self) -> None: ...


J = TypeVar("J", bound=_Jail)


class Jails(Generic[J]):
    """Jails by what each is for. `now` is seconds since some fixed moment."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._jails: OrderedDict[Key, J] = OrderedDict()
        self._starting: dict[Key, anyio.Lock] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._jails)

    def __iter__(self) -> Iterator[J]:
        return iter(tuple(self._jails.values()))

    async def take(self, key: Key, start: Callable[[], Awaitable[J]]) -> J:
        """The jail of that key, started if there is none. It is not closed before whoever took it has left.

        Raises SandboxUnavailable once all are closed, and what `start` raises.
        """
        lock = self._starting.get(key)
        if lock is None:
            lock = self._starting[key] = anyio.Lock(fast_acquire=True)
        try:
            async with lock:
                jail = self._jails.get(key)
                if jail is not None and not jail.alive:
                    await self.discard(jail)
                    jail = None
                if jail is None:
                    jail = self._jails[key] = await self._started(start)
                # Nothing is awaited from here on: another would take it for idle.
                jail.sessions += 1
                self._jails.move_to_end(key)
        finally:
            self._forget_lock(key)
        self._close_idle(_IDLE_KEPT)
        return jail

    def leave(self, jail: J) -> None:
        """Somebody who took it has left."""
        jail.sessions -= 1
        jail.idle_since = self._now()
        self._close_idle(_IDLE_KEPT)

    async def discard(self, jail: J) -> None:
        """End it and everything in it, whoever is in it."""
        for key in [key for key, other in self._jails.items() if other is jail]:
            self._drop(key)
        with anyio.CancelScope(shield=True):
            await jail.close()

    def close_unused(self) -> None:
        """Close those that nobody has been in for long, but for a few."""
        self._close_idle(_KEPT_LONG, idle_seconds=_LONG_SECONDS)

    def shut(self) -> None:
        """None is started any more."""
        self._closed = True

    async def close(self) -> None:
        """End them all; none is started any more."""
        self.shut()
        async with anyio.create_task_group() as closing:
            for jail in self:
                closing.start_soon(self.discard, jail)
            if self._closing:
                await asyncio.wait(self._closing)

    async def _started(self, start: Callable[[], Awaitable[J]]) -> J:
        if not self._closed:
            jail = await start()
            if not self._closed:
                return jail
            with anyio.CancelScope(shield=True):
                await jail.close()
        raise SandboxUnavailable("The server is closing.")

    def _close_idle(self, kept: int, *, idle_seconds: float = 0.0) -> None:
        idle = [key for key, jail in self._jails.items() if not jail.sessions]
        since = self._now() - idle_seconds
        for key in idle[: max(0, len(idle) - kept)]:
            if self._jails[key].idle_since <= since:
                self._close_behind(self._drop(key))

    def _close_behind(self, jail: J) -> None:
        """Nobody waits for it: emptying a control group can take the kernel seconds."""
        task = asyncio.create_task(jail.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _drop(self, key: Key) -> J:
        jail = self._jails.pop(key)
        self._forget_lock(key)
        return jail

    def _forget_lock(self, key: Key) -> None:
        lock = self._starting.get(key)
        # One that somebody waits for is locked.
        if key not in self._jails and lock is not None and not lock.locked():
            del self._starting[key]
