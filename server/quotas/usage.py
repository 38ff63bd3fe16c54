"""Where the count of a day is kept: a file that the proofbox processes of a host share, or the store of replicas."""

import hashlib
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import anyio

from ..replicas.store import SharedStore

Kind = Literal["sandbox_seconds", "usd"]
Key = tuple[str, str]
"""Who, hashed as principals of jobs are, and what of."""

_KEPT_DAYS = 31
_BUSY_SECONDS = 5.0
_TABLE = """
CREATE TABLE IF NOT EXISTS usage (
    day INTEGER NOT NULL, principal TEXT NOT NULL, kind TEXT NOT NULL, amount REAL NOT NULL,
    PRIMARY KEY (day, principal, kind)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO usage VALUES (?, ?, ?, ?)
ON CONFLICT (day, principal, kind) DO UPDATE SET amount = amount + excluded.amount
"""


@lru_cache(10_000)
def key_of(principal: str, kind: Kind) -> Key:
    """The key of what a principal uses."""
    return hashlib.sha256(f"proofbox:{principal}".encode()).hexdigest()[:32], kind


class UsageStore(Protocol):
    """Adds up what several processes count."""

    async def exchange(self, day: int, added: Mapping[Key, float]) -> Mapping[Key, float]:
        """Add to the amounts of a day (its number since the epoch), and read all of that day.

        What it raises means that nothing was added.
        """
        ...


class SharedUsage:
    """The store of replicas, where they share one."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    async def exchange(self, day: int, added: Mapping[Key, float]) -> Mapping[Key, float]:
        """See `UsageStore`. Raises StoreUnusable."""
        totals = await self._store.add(
            f"usage:{day}",
            {f"{who}:{kind}": amount for (who, kind), amount in added.items()},
            seconds=_KEPT_DAYS * 86_400.0,
        )
        return {_key(name): amount for name, amount in totals.items()}


def _key(name: str) -> Key:
    who, _, kind = name.partition(":")
    return who, kind


class UsageFile:
    """The store of one host."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def exchange(self, day: int, added: Mapping[Key, float]) -> Mapping[Key, float]:
        """See `UsageStore`. Raises OSError or sqlite3.Error."""
        return await anyio.to_thread.run_sync(self._exchange, day, dict(added))

    def _exchange(self, day: int, added: Mapping[Key, float]) -> Mapping[Key, float]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        with (
            closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection,
            connection,
        ):
            connection.execute(_TABLE)
            connection.executemany(_ADD, [(day, *key, amount) for key, amount in added.items()])
            connection.execute("DELETE FROM usage WHERE day < ?", (day - _KEPT_DAYS,))
            rows = connection.execute(
                "SELECT principal, kind, amount FROM usage WHERE day = ?", (day,)
            ).fetchall()
        return {(who, kind): amount for who, kind, amount in rows}
