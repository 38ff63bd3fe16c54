"""Opening SQLite files that several proofbox processes share. Everything here blocks."""

import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# A long transaction makes the log long, and it would stay so.
_LOG_BYTES = 4 * 1024**2
_RETRY_SECONDS = 0.02


def open_file(
    path: Path, *, busy_seconds: float, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """Open a file of this user alone, made if there is none; `prepare` brings it up to date.

    Raises:
        OSError: the file or its folder cannot be written.
        sqlite3.Error: it is not such a file, is damaged, or `prepare` refuses it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Before SQLite sees it: it gives the files beside it the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        _patiently(lambda: _prepare(connection, prepare), busy_seconds)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All of the block or nothing of it, and nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors have rolled it back already.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def pragma(connection: sqlite3.Connection, text: str) -> object:
    """Set or ask something of the file."""
    found = connection.execute(f"PRAGMA {text}").fetchone()
    return None if found is None else found[0]


def _patiently(step: Callable[[], None], seconds: float) -> None:
    # SQLite itself does not wait where two processes make the same new file: seen with 3.40.
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() >= deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def _prepare(connection: sqlite3.Connection, prepare: Callable[[sqlite3.Connection], None]) -> None:
    # Read before it is set: to set it takes a lock that readers do not give way to.
    if pragma(connection, "journal_mode") != "wal":
        # Only has an effect before the first table is there.
        pragma(connection, "auto_vacuum = FULL")
        pragma(connection, "journal_mode = WAL")
    pragma(connection, f"journal_size_limit = {_LOG_BYTES}")
    # In WAL mode this loses at most the last moments before a power cut, never the file.
    pragma(connection, "synchronous = NORMAL")
    prepare(connection)
