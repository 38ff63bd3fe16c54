"""The store, given something that runs scripts of SQL."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

from . import sql
from .store import Grant, Record

T = TypeVar("T")


class ScriptedStore(ABC):
    """Implements `SharedStore`, all but `close`."""

    @abstractmethod
    async def run(self, lock: str, script: sql.Script[T]) -> T:
        """Run a script in a transaction in which nobody else runs one of the same lock.

        Raises:
            StoreUnusable: it could not be done, and nothing of it was.
        """
        ...

    async def acquire(
        self, group: str, name: str, owner: str, seconds: float, *, most: int | None = None
    ) -> Grant | None:
        return await self.run(group, sql.acquire(group, name, owner, seconds, most))

    async def renew(self, group: str, name: str, owner: str, seconds: float) -> bool:
        return await self.run(group, sql.renew(group, name, owner, seconds))

    async def release(self, group: str, name: str, owner: str) -> None:
        await self.run(group, sql.release(group, name, owner))

    async def holders(self, group: str) -> Mapping[str, str]:
        return await self.run(group, sql.holders(group))

    async def put(
        self,
        kind: str,
        key: str,
        head: str,
        body: str | None = None,
        *,
        seconds: float,
        version: int | None = None,
    ) -> int | None:
        return await self.run(kind, sql.put(kind, key, head, body, seconds, version))

    async def get(self, kind: str, key: str) -> Record | None:
        return await self.run(kind, sql.get(kind, key))

    async def records(self, kind: str) -> Sequence[Record]:
        return await self.run(kind, sql.records(kind))

    async def delete(self, kind: str, key: str, *, version: int | None = None) -> bool:
        return await self.run(kind, sql.delete(kind, key, version))

    async def add(
        self, group: str, amounts: Mapping[str, float], *, seconds: float
    ) -> Mapping[str, float]:
        return await self.run(group, sql.add(group, amounts, seconds))
