"""The store of replicas on several hosts: PostgreSQL."""

import logging
from typing import Any, TypeVar, cast

import anyio
import psycopg
from psycopg import AsyncConnection

from . import sql
from .scripted import ScriptedStore
from .store import StoreUnusable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLOCK = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
_ANSWER_SECONDS = 5.0
# Any number; those who make the tables at one time would be in each other's way.
_MAKING = 7_203_114_529


class PostgresStore(ScriptedStore):
    """A store in a PostgreSQL database, over one connection that is opened again after each failure.

    `url` may hold a password, so it is never shown; `place` is what may be.
    """

    def __init__(self, url: str, place: str) -> None:
        self._url = url
        self._place = place
        self._connection: AsyncConnection[tuple[Any, ...]] | None = None
        self._turn = anyio.Lock()

    async def run(self, lock: str, script: sql.Script[T]) -> T:
        """See `ScriptedStore`."""
        async with self._turn:
            try:
                with anyio.fail_after(2 * _ANSWER_SECONDS):
                    return await self._run(lock, script)
            except (psycopg.Error, OSError) as error:
                # What the driver says may quote the address, with all that is in it.
                logger.warning("The store at %s cannot be used: %s", self._place, _brief(error))
                with anyio.CancelScope(shield=True):
                    await self._drop()
                raise StoreUnusable from error
            except BaseException:
                # In the middle of a transaction, perhaps.
                with anyio.CancelScope(shield=True):
                    await self._drop()
                raise

    async def close(self) -> None:
        """Close the connection."""
        async with self._turn:
            await self._drop()

    async def _run(self, lock: str, script: sql.Script[T]) -> T:
        connection = self._connection
        if connection is None:
            connection = self._connection = await self._open()
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))
            statement = next(script)
            while True:
                text, values = statement
                text = text.replace(sql.CLOCK, _CLOCK).replace("?", "%s")
                await cursor.execute(cast(Any, text), values)
                rows = [] if cursor.description is None else await cursor.fetchall()
                try:
                    statement = script.send(rows)
                except StopIteration as end:
                    return end.value

    async def _open(self) -> AsyncConnection[tuple[Any, ...]]:
        connection = await AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=round(_ANSWER_SECONDS)
        )
        try:
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
                for table in sql.TABLES:
                    await cursor.execute(cast(Any, table))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await connection.close()
            raise
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _brief(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return type(error).__name__ + (f" {state}" if state else "")
