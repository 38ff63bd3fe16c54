"""The store in SQL that SQLite and PostgreSQL both speak.

Each operation is a script: it yields statements and is sent their rows, so that one text serves a driver that
blocks and one that does not. The driver runs a script in one transaction, alone in its group.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeVar

from .store import Grant, Record

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]
Rows = Sequence[tuple[Any, ...]]
Script = Generator[Statement, Rows, T]

# A change of one takes a new name: replicas of two versions may run beside each other.
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS proofbox_leases_1 (
        grp TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, expires DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (grp, name)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS proofbox_records_1 (
        kind TEXT NOT NULL, key TEXT NOT NULL, version BIGINT NOT NULL, head TEXT NOT NULL,
        updated DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL, size BIGINT NOT NULL,
        body TEXT, -- last: what follows a long text is slow to read
        PRIMARY KEY (kind, key)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS proofbox_sums_1 (
        grp TEXT NOT NULL, name TEXT NOT NULL, amount DOUBLE PRECISION NOT NULL,
        expires DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (grp, name)
    )
    """,
)
CLOCK = "CLOCK()"
"""In a statement: the driver's expression for the seconds since the epoch."""

# Who took over from whom is of no interest any more.
_FORGOTTEN_SECONDS = 86_400.0


def _now() -> Script[float]:
    rows = yield f"SELECT {CLOCK}", ()
    return float(rows[0][0])


def acquire(
    group: str, name: str, owner: str, seconds: float, most: int | None
) -> Script[Grant | None]:
    """See `SharedStore`."""
    now = yield from _now()
    broken = ""
    rows = yield (
        "SELECT owner, expires FROM proofbox_leases_1 WHERE grp = ? AND name = ?",
        (group, name),
    )
    if rows:
        holder, expires = rows[0]
        if expires <= now:
            broken = str(holder)
        elif holder != owner:
            return None
    if most is not None:
        rows = yield (
            "SELECT COUNT(*) FROM proofbox_leases_1 WHERE grp = ? AND name <> ? AND expires > ?",
            (group, name, now),
        )
        if rows[0][0] >= most:
            return None
    yield (
        (
            "INSERT INTO proofbox_leases_1 (grp, name, owner, expires) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (grp, name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires"
        ),
        (group, name, owner, now + seconds),
    )
    return Grant(broken)


def renew(group: str, name: str, owner: str, seconds: float) -> Script[bool]:
    """See `SharedStore`."""
    now = yield from _now()
    rows = yield (
        (
            "UPDATE proofbox_leases_1 SET expires = ?"
            " WHERE grp = ? AND name = ? AND owner = ? AND expires > ? RETURNING name"
        ),
        (now + seconds, group, name, owner, now),
    )
    return bool(rows)


def release(group: str, name: str, owner: str) -> Script[None]:
    """See `SharedStore`."""
    yield (
        "DELETE FROM proofbox_leases_1 WHERE grp = ? AND name = ? AND owner = ?",
        (group, name, owner),
    )


def holders(group: str) -> Script[Mapping[str, str]]:
    """See `SharedStore`."""
    now = yield from _now()
    yield "DELETE FROM proofbox_leases_1 WHERE expires < ?", (now - _FORGOTTEN_SECONDS,)
    rows = yield (
        "SELECT name, owner FROM proofbox_leases_1 WHERE grp = ? AND expires > ?",
        (group, now),
    )
    return {str(name): str(owner) for name, owner in rows}


def put(
    kind: str, key: str, head: str, body: str | None, seconds: float, version: int | None
) -> Script[int | None]:
    """See `SharedStore`."""
    now = yield from _now()
    rows = yield (
        "SELECT version, expires FROM proofbox_records_1 WHERE kind = ? AND key = ?",
        (kind, key),
    )
    last, expires = rows[0] if rows else (0, 0.0)
    if version is not None and version != (last if expires > now else 0):
        return None
    yield (
        (
            "INSERT INTO proofbox_records_1 (kind, key, version, head, updated, expires, size, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET"
            " version = excluded.version, head = excluded.head, updated = excluded.updated,"
            " expires = excluded.expires, size = excluded.size, body = excluded.body"
        ),
        (kind, key, last + 1, head, now, now + seconds, len((body or "").encode()), body),
    )
    return int(last) + 1


def get(kind: str, key: str) -> Script[Record | None]:
    """See `SharedStore`."""
    now = yield from _now()
    rows = yield (
        (
            "SELECT key, version, head, updated, size, body FROM proofbox_records_1"
            " WHERE kind = ? AND key = ? AND expires > ?"
        ),
        (kind, key, now),
    )
    return _record(rows[0], now) if rows else None


def records(kind: str) -> Script[Sequence[Record]]:
    """See `SharedStore`."""
    now = yield from _now()
    yield "DELETE FROM proofbox_records_1 WHERE expires <= ?", (now,)
    rows = yield (
        (
            "SELECT key, version, head, updated, size, NULL FROM proofbox_records_1"
            " WHERE kind = ? ORDER BY updated, key"
        ),
        (kind,),
    )
    return [_record(row, now) for row in rows]


def delete(kind: str, key: str, version: int | None) -> Script[bool]:
    """See `SharedStore`."""
    now = yield from _now()
    rows = yield (
        (
            "DELETE FROM proofbox_records_1 WHERE kind = ? AND key = ? AND (? < 0 OR version = ?)"
            " RETURNING expires"
        ),
        (kind, key, -1 if version is None else version, -1 if version is None else version),
    )
    return bool(rows) and rows[0][0] > now


def add(group: str, amounts: Mapping[str, float], seconds: float) -> Script[Mapping[str, float]]:
    """See `SharedStore`."""
    now = yield from _now()
    yield "DELETE FROM proofbox_sums_1 WHERE expires <= ?", (now,)
    for name, amount in amounts.items():
        yield (
            (
                "INSERT INTO proofbox_sums_1 (grp, name, amount, expires) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (grp, name) DO UPDATE SET"
                " amount = proofbox_sums_1.amount + excluded.amount, expires = excluded.expires"
            ),
            (group, name, amount, now + seconds),
        )
    rows = yield "SELECT name, amount FROM proofbox_sums_1 WHERE grp = ?", (group,)
    return {str(name): float(amount) for name, amount in rows}


def _record(row: tuple[Any, ...], now: float) -> Record:
    key, version, head, updated, size, body = row
    return Record(str(key), int(version), str(head), max(0.0, now - updated), int(size), body)
