"""The processes that share one E2B account, and how many sandboxes all of them may have together."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol

import anyio

from ..errors import SandboxBusy

# How often a place of the team's is asked for again: nobody tells when one comes free elsewhere.
_ASK_SECONDS = 0.5


class Team(Protocol):
    """What replicas know of each other. All raise SandboxBusy while that cannot be found out."""

    @property
    def id(self) -> str:
        """The name of all of them together, which every sandbox of theirs bears."""
        ...

    @property
    def name(self) -> str:
        """The name of this one."""
        ...

    async def reserve(self, key: str, seconds: float, most: int) -> bool:
        """Take one of the team's places for so long, unless `most` are taken."""
        ...

    async def make_room(self) -> None:
        """See whether a sandbox that is of little use to anybody can go. Nothing may come of it."""
        ...

    async def keep(self, key: str, seconds: float) -> None:
        """Have it for so long from now, whatever became of it."""
        ...

    async def renew(self, key: str, seconds: float) -> bool:
        """Have it for so long from now; False if it was given back, or has run out."""
        ...

    async def give_back(self, key: str) -> None:
        """Its sandbox is gone for certain."""
        ...

    async def living(self) -> frozenset[str] | None:
        """The replicas that live, this one with them; None while that is not known for certain."""
        ...

    async def claimed(self) -> frozenset[str]:
        """The labels `session` of the sandboxes that some replica will ask for."""
        ...


class Places(Protocol):
    """Where a place for each sandbox comes from, by the sandbox's key."""

    async def take(self, key: str, seconds: float) -> None:
        """Wait for one; it is enough for a sandbox that lives for so long."""
        ...

    async def keep(self, key: str, seconds: float) -> None:
        """The sandbox will live for so long from now."""
        ...

    def extending(self, key: str, seconds: float) -> AbstractAsyncContextManager[None]:
        """The same, if it lives, which the block finds out: it raises if not."""
        ...

    async def give_back(self, key: str, *, gone: bool) -> None:
        """The sandbox is not ours any more; `gone`: it is dead for certain."""
        ...


class OwnPlaces:
    """Places of this process alone."""

    def __init__(self, most: int) -> None:
        self._free = anyio.Semaphore(most)

    async def take(self, key: str, seconds: float) -> None:
        await self._free.acquire()

    async def keep(self, key: str, seconds: float) -> None:
        pass

    def extending(self, key: str, seconds: float) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def give_back(self, key: str, *, gone: bool) -> None:
        self._free.release()


class TeamPlaces:
    """Places that all replicas share. One whose sandbox may yet live comes back when that must have ended."""

    def __init__(
        self, team: Team, most: int, *, sleep: Callable[[float], Awaitable[None]], margin: float
    ) -> None:
        self._team = team
        self._most = most
        self._sleep = sleep
        self._margin = margin

    async def take(self, key: str, seconds: float) -> None:
        try:
            while not await self._team.reserve(key, seconds + self._margin, self._most):
                await self._team.make_room()
                await self._sleep(_ASK_SECONDS)
        except anyio.get_cancelled_exc_class():
            # It may have been given in the very moment.
            with anyio.CancelScope(shield=True):
                await self.give_back(key, gone=True)
            raise

    async def keep(self, key: str, seconds: float) -> None:
        await self._team.keep(key, seconds + self._margin)

    @asynccontextmanager
    async def extending(self, key: str, seconds: float) -> AsyncGenerator[None]:
        # Another replica may have ended the sandbox. Its place is not to be taken again for one that is gone.
        held = await self._team.renew(key, seconds + self._margin)
        yield
        if not held:
            await self.keep(key, seconds)

    async def give_back(self, key: str, *, gone: bool) -> None:
        if gone:
            try:
                await self._team.give_back(key)
            except SandboxBusy:
                pass  # it runs out by itself
