"""The file of jobs: SQLite, shared by every proofbox process of the user. Everything here blocks."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ..sqlite_files import open_file, pragma, transaction
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
        self._migrations = migrations
        self._connection = open_file(path, busy_seconds=busy_seconds, prepare=self._prepare)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def put(self, rows: Sequence[Row]) -> list[str]:
        """Write down what the owner knows, and read which of these others want cancelled."""
        with transaction(self._connection):
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

    def recent(
        self,
        principal: str,
        is_lost: Callable[[Row], bool],
        *,
        offset: int,
        limit: int,
        head: int,
    ) -> list[Row]:
        """The principal's jobs, the newest first, as `get` has them, but for reports: of each only its first
        `head` characters.
        """
        columns = ", ".join(
            "substr(report, 1, ?)" if name == "report" else name for name in _COLUMNS
        )
        found = self._connection.execute(
            f"SELECT {columns} FROM jobs WHERE principal = ? ORDER BY created DESC, rowid DESC"
            " LIMIT ? OFFSET ?",
            (head, principal, limit, offset),
        )
        rows = [Row(*each) for each in found.fetchall()]
        return [
            (self.get(row.job_id, principal, is_lost) or row)
            if row.state == "running" and is_lost(row)
            else row
            for row in rows
        ]

    def ask_cancel(self, job_id: str, principal: str) -> None:
        """Leave word for the process that runs the job."""
        self._connection.execute(
            "UPDATE jobs SET cancel_asked = 1"
            " WHERE job_id = ? AND principal = ? AND state = 'running'",
            (job_id, principal),
        )

    def prune(self, *, before: float, max_bytes: int) -> None:
        """Delete what was last written before a time, then the oldest reports beyond a size in all."""
        with transaction(self._connection):
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

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if pragma(connection, "user_version") != len(self._migrations):
            self._migrate(connection)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            # Again: another process may have been faster.
            version = int(str(pragma(connection, "user_version")))
            if version > len(self._migrations):
                raise sqlite3.DatabaseError("it was written by a newer version of proofbox")
            for statements in self._migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            pragma(connection, f"user_version = {len(self._migrations)}")
