"""The replicas that share a store: who lives, how many sandboxes all of them have, and whose they are."""

import logging
import os
import platform
import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

import anyio

from ..background import beside
from ..sandbox import SandboxBusy, SandboxError
from .store import SharedStore, StoreUnusable

logger = logging.getLogger(__name__)

SESSIONS = "sessions"
"""The kind of the records of sessions. Their keys are what sandboxes are labelled with."""

_REPLICAS, _PLACES = "replicas", "places"
_META, _TEAM = "meta", "team"
_FOR_EVER = 10 * 365 * 86_400.0


class Team(anyio.AsyncContextManagerMixin):
    """This replica among the others. Use it as an async context manager, once, which closes the store; it implements
    E2B's `Team`.

    `seconds`: one that was not heard of for so long is dead, and what it leased can be had by others. `id` and
    `name` are there once it is entered. `on_full` is called when there is no place for another sandbox, and may end
    one.
    """

    def __init__(
        self,
        store: SharedStore,
        seconds: float,
        *,
        clock: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.store = store
        self._clock = clock
        self._sleep = sleep
        self.seconds = seconds
        self.id = ""
        node = re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:40]
        self.name = f"{node}.{os.getpid()}.{secrets.token_hex(4)}"
        self.on_full: Callable[[], Awaitable[object]] | None = None
        # Since when the others have known that this one lives.
        self._since: float | None = None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self.id = await self._identity()
        await self._beat()
        try:
            async with beside(self._keep_beating):
                yield self
        finally:
            await self._leave()

    async def _leave(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self.store.release(_REPLICAS, self.name, self.name)
            except StoreUnusable:
                logger.warning("The others learn late that this replica has ended")
            await self.store.close()

    async def living(self) -> frozenset[str] | None:
        """The replicas that live, this one with them; None while it is too early to call any other dead: after
        a start, and after the store was away or was emptied.
        """
        since = self._since
        if since is None or self._clock() - since < self.seconds:
            return None
        heard = frozenset(await self.store.holders(_REPLICAS))
        # Who was stopped for a while was not heard of itself, and nor were those that were stopped with it.
        return heard if self.name in heard else None

    async def heard_of(self) -> frozenset[str]:
        """The replicas that have just been heard of, this one with them."""
        return frozenset(await self.store.holders(_REPLICAS)) | {self.name}

    async def reserve(self, key: str, seconds: float, most: int) -> bool:
        """See E2B's `Team`."""
        return await self.store.acquire(_PLACES, key, key, seconds, most=most) is not None

    async def make_room(self) -> None:
        """See E2B's `Team`."""
        if self.on_full is not None:
            try:
                await self.on_full()
            except SandboxError as error:
                logger.warning("No sandbox could make room for another: %s", error)

    async def keep(self, key: str, seconds: float) -> None:
        """See E2B's `Team`."""
        await self.store.acquire(_PLACES, key, key, seconds)

    async def renew(self, key: str, seconds: float) -> bool:
        """See E2B's `Team`."""
        return await self.store.renew(_PLACES, key, key, seconds)

    async def give_back(self, key: str) -> None:
        """See E2B's `Team`."""
        await self.store.release(_PLACES, key, key)

    async def claimed(self) -> frozenset[str]:
        """See E2B's `Team`."""
        return frozenset(record.key for record in await self.store.records(SESSIONS))

    async def _identity(self) -> str:
        """Told apart from other teams that use one E2B account."""
        made = secrets.token_hex(8)
        if await self.store.put(_META, _TEAM, made, seconds=_FOR_EVER, version=0) is not None:
            return made
        record = await self.store.get(_META, _TEAM)
        if record is None:
            raise StoreUnusable
        return record.head

    async def _keep_beating(self) -> None:
        while True:
            await self._sleep(self.seconds / 3)
            try:
                await self._beat()
            except SandboxBusy:
                self._since = None  # logged already

    async def _beat(self) -> None:
        if self._since is not None:
            if await self.store.renew(_REPLICAS, self.name, self.name, self.seconds):
                return
            logger.warning("This replica was not heard of for too long; others may have taken over")
        await self.store.acquire(_REPLICAS, self.name, self.name, self.seconds)
        self._since = self._clock()
