"""Which deliveries of GitHub were taken already: SQLite, so that a restart forgets none."""

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from ..settings import SettingsError

MOST = 10_000
"""That are remembered. GitHub keeps them for a month to be delivered again by hand."""

Claim = Literal["new", "replay", "known"]
"""new: it is ours now. replay: it came before. known: another one asked for the same commit."""

_TABLE = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, delivery TEXT NOT NULL UNIQUE,
    pull TEXT NOT NULL, head TEXT NOT NULL, state TEXT NOT NULL
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS deliveries_by_head ON deliveries (pull, head)"
_FORGET = """
DELETE FROM deliveries WHERE state <> 'taken' AND number <= (
    SELECT number FROM deliveries ORDER BY number DESC LIMIT 1 OFFSET ?
)
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery: its id, the pull request as `owner/name#12`, and the commit that its head was."""

    id: str
    pull: str
    head: str


class Deliveries:
    """The file, open. Its methods block for milliseconds, may be called from any thread, and raise
    `sqlite3.Error` where the file cannot be used: nothing is then taken.
    """

    def __init__(self, path: Path, *, most: int = MOST) -> None:
        """Open the file, made if there is none.

        Raises:
            SettingsError: it cannot be.
        """
        self._most = most
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            with self._lock:
                self._connection.execute(_TABLE)
                self._connection.execute(_INDEX)
                # Of a process that did not come to their end: GitHub may deliver them again.
                self._connection.execute("DELETE FROM deliveries WHERE state = 'taken'")
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"Deliveries cannot be remembered in {path} ({error}), and without that they could be "
                "replayed. Choose another folder with PROOFBOX_DATA_DIR."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def take(self, delivery: Delivery) -> Claim:
        """Take a delivery, unless it or its commit was taken before."""
        with self._lock, self._transaction():
            known = self._connection.execute(
                "SELECT 1 FROM deliveries WHERE pull = ? AND head = ? AND delivery <> ?",
                (delivery.pull, delivery.head, delivery.id),
            ).fetchone()
            made = self._connection.execute(
                "INSERT OR IGNORE INTO deliveries (delivery, pull, head, state) VALUES (?, ?, ?, ?)",
                (delivery.id, delivery.pull, delivery.head, "known" if known else "taken"),
            )
            if not made.rowcount:
                return "replay"
            self._connection.execute(_FORGET, (self._most,))
            return "known" if known else "new"

    def done(self, delivery: Delivery) -> None:
        """It has its report."""
        with self._lock:
            self._connection.execute(
                "UPDATE deliveries SET state = 'done' WHERE delivery = ?", (delivery.id,)
            )

    def give_back(self, delivery: Delivery) -> None:
        """It came to nothing: it, and its commit, may be taken again."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.execute(
                "DELETE FROM deliveries WHERE pull = ? AND head = ?", (delivery.pull, delivery.head)
            )

    def __len__(self) -> int:
        with self._lock, closing(self._connection.execute("SELECT count(*) FROM deliveries")) as c:
            return c.fetchone()[0]

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
