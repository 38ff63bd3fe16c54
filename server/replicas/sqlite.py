"""The store of replicas on one host: a file."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ..sqlite_files import open_file, transaction
from . import sql
from .scripted import ScriptedStore
from .store import StoreUnusable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BUSY_SECONDS = 5.0


class SqliteStore(ScriptedStore):
    """A store in a file, opened when it is first needed and again after each failure.

    `now` is the clock of the host in seconds since the epoch.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._connection: sqlite3.Connection | None = None
        # One thread at a time, in the order of the calls.
        self._turn = anyio.CapacityLimiter(1)

    async def run(self, lock: str, script: sql.Script[T]) -> T:
        """See `ScriptedStore`. There is one lock, that of the file."""
        try:
            return await anyio.to_thread.run_sync(self._run, script, limiter=self._turn)
        except (sqlite3.Error, OSError) as error:
            logger.warning("The store %s cannot be used: %s", self._path, error)
            raise StoreUnusable from error

    async def close(self) -> None:
        """Let go of the file."""
        await anyio.to_thread.run_sync(self._drop, limiter=self._turn)

    def _run(self, script: sql.Script[T]) -> T:
        try:
            if self._connection is None:
                self._connection = open_file(
                    self._path, busy_seconds=_BUSY_SECONDS, prepare=self._prepare
                )
            connection = self._connection
            with transaction(connection):
                statement = next(script)
                while True:
                    rows = connection.execute(*statement).fetchall()
                    try:
                        statement = script.send(rows)
                    except StopIteration as end:
                        return end.value
        except (sqlite3.Error, OSError):
            self._drop()
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.create_function("CLOCK", 0, self._now)
        for table in sql.TABLES:
            connection.execute(table)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
