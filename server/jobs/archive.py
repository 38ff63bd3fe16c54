"""The file of jobs: SQLite, shared by every proofbox process of the user. Everything here blocks."""

import os
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from .job import State
from .owner import Owner

# One tuple of statements for each version of the schema. Those that were released never change.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE jobs (
            job_id TEXT PRIMARY KEY, principal TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
            done INTEGER NOT NULL, total INTEGER, message TEXT NOT NULL, reason TEXT NOT NULL,
            size INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
            place TEXT NOT NULL, pid INTEGER NOT NULL, born TEXT NOT NULL,
            cancel_asked INTEGER NOT NULL DEFAULT 0,
            report TEXT -- last: what follows a long text is slow to read
        )
        """,
        "CREATE INDEX jobs_by_age ON jobs (updated)",
    ),
)

# A long transaction makes the log long, and it would stay so.
_LOG_BYTES = 4 * 1024**2
_RETRY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the file has it. Times are readings of the wall clock, sizes are bytes.

    `principal` is hashed. `updated` is when its owner last wrote. `report` is JSON text of that `size`.
    """

    job_id: str
    principal: str
    kind: str
    state: State
    done: int
    total: int | None
    message: str
    reason: str
    size: int
    created: float
    updated: float
    place: str
    pid: int
    born: str
    report: str | None

    @property
    def owner(self) -> Owner:
        return Owner(self.place, self.pid, self.born)


_COLUMNS = [item.name for item in fields(Row)]
_LATER = [name for name in _COLUMNS if name not in {"job_id", "principal", "kind", "created"}]
_PUT = (
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT (job_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _LATER)}"
    # Whatever the order in which two of the owner's writes arrive, the end is the end.
    " WHERE excluded.state <> 'running' OR jobs.state IN ('running', 'interrupted')"
)
_GET = f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE job_id = ? AND principal = ?"


class Archive:
    """The file, open. Any method may raise sqlite3.Error; nothing has changed then."""

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float,
        migrations: tuple[tuple[str, ...], ...] = MIGRATIONS,
    ) -> None:
        """Open the file, made if there is none and brought up to date if it is an older one.

        Raises:
            OSError: the file or its folder cannot be written.
            sqlite3.Error: it is not such a file, is damaged, or a newer proofbox wrote it.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Before SQLite sees it: it gives the files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        self._connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare_patiently(migrations, busy_seconds)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def put(self, rows: Sequence[Row]) -> list[str]:
        """Write down what the owner knows, and read which of these others want cancelled."""
        with self._transaction():
            self._connection.executemany(_PUT, [astuple(row) for row in rows])
            return [row.job_id for row in rows if self._is_cancel_asked(row.job_id)]

    def get(self, job_id: str, principal: str, is_lost: Callable[[Row], bool]) -> Row | None:
        """The principal's job; one that runs and `is_lost` is written down as interrupted."""
        row = self._find(job_id, principal)
        if row is None or row.state != "running" or not is_lost(row):
            return row
        reason = (
            "The proofbox process that ran it has ended without a report; start the work again."
        )
        self._connection.execute(
            # Unless the owner has just been heard of after all.
            "UPDATE jobs SET state = 'interrupted', reason = ?"
            " WHERE job_id = ? AND state = 'running' AND updated = ?",
            (reason, job_id, row.updated),
        )
        return self._find(job_id, principal)

    def ask_cancel(self, job_id: str, principal: str) -> None:
        """Leave word for the process that runs the job."""
        self._connection.execute(
            "UPDATE jobs SET cancel_asked = 1"
            " WHERE job_id = ? AND principal = ? AND state = 'running'",
            (job_id, principal),
        )

    def prune(self, *, before: float, max_bytes: int) -> None:
        """Delete what was last written before a time, then the oldest reports beyond a size in all."""
        with self._transaction():
            self._connection.execute("DELETE FROM jobs WHERE updated < ?", (before,))
            self._connection.execute(
                """
                DELETE FROM jobs WHERE job_id IN (
                    SELECT job_id FROM (
                        SELECT job_id, size, SUM(size) OVER (ORDER BY updated DESC, rowid DESC) AS total
                        FROM jobs WHERE state <> 'running'
                    ) WHERE total > ? AND total > size
                )
                """,
                (max_bytes,),
            )

    def _is_cancel_asked(self, job_id: str) -> bool:
        found = self._connection.execute(
            "SELECT cancel_asked FROM jobs WHERE job_id = ?", (job_id,)
        )
        return bool(found.fetchone()[0])

    def _find(self, job_id: str, principal: str) -> Row | None:
        found = self._connection.execute(_GET, (job_id, principal)).fetchone()
        return None if found is None else Row(*found)

    def _prepare_patiently(self, migrations: tuple[tuple[str, ...], ...], seconds: float) -> None:
        # SQLite itself does not wait where two processes make the same new file: seen with 3.40.
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._prepare(migrations)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_RETRY_SECONDS)

    def _prepare(self, migrations: tuple[tuple[str, ...], ...]) -> None:
        # Read before it is set: to set it takes a lock that readers do not give way to.
        if self._pragma("journal_mode") != "wal":
            # Only has an effect before the first table is there.
            self._pragma("auto_vacuum = FULL")
            self._pragma("journal_mode = WAL")
        self._pragma(f"journal_size_limit = {_LOG_BYTES}")
        # In WAL mode this loses at most the last moments before a power cut, never the file.
        self._pragma("synchronous = NORMAL")
        if self._pragma("user_version") != len(migrations):
            self._migrate(migrations)

    def _migrate(self, migrations: tuple[tuple[str, ...], ...]) -> None:
        with self._transaction():
            # Again: another process may have been faster.
            version = int(str(self._pragma("user_version")))
            if version > len(migrations):
                raise sqlite3.DatabaseError("it was written by a newer version of proofbox")
            for statements in migrations[version:]:
                for statement in statements:
                    self._connection.execute(statement)
            self._pragma(f"user_version = {len(migrations)}")

    def _pragma(self, text: str) -> object:
        found = self._connection.execute(f"PRAGMA {text}").fetchone()
        return None if found is None else found[0]

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # Some errors have rolled it back already.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
