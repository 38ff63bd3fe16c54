"""What was answered and judged, kept as it happens, so that nothing is asked twice.

One file of JSON lines a model and parameters. A line is on disk before its sample counts as done; a last
line that was torn by a crash is passed over. Keys are content hashes, so nothing is found again by chance.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import anyio

Kind = Literal["reply", "verdict", "batch"]
Record = Mapping[str, Any]


def hash_of(*facts: Any) -> str:
    """A hash of facts as JSON has them, 64 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=sorted)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """The journal of one model. Use it as a context manager; several processes may append at a time."""

    def __init__(self, folder: Path, name: str, parameters: Mapping[str, Any]) -> None:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].strip("-")
        self.path = folder / f"{readable}-{hash_of(name, parameters)[:16]}.jsonl"
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        self._remembered: dict[tuple[str, str], Record] = {}
        self._waiting: list[bytes] = []
        self._taken = 0
        self._written = 0
        self._lock = anyio.Lock()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._file = os.open(self.path, flags, 0o600)
        self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def __contains__(self, key: tuple[Kind, str]) -> bool:
        return key in self._places

    def keys(self, kind: Kind) -> Iterator[str]:
        """The keys of all records of a kind."""
        return (key for known, key in list(self._places) if known == kind)

    def get(self, kind: Kind, key: str) -> Record | None:
        """A record, read from the file: only its place is kept in memory."""
        place = self._places.get((kind, key))
        if place is None:
            return self._remembered.get((kind, key))
        return cast(Record, json.loads(os.pread(self._file, place[1], place[0]))["record"])

    def remember(self, kind: Kind, key: str, record: Record) -> None:
        """Keep a record for as long as the journal is open, and no longer."""
        self._remembered[kind, key] = record

    def forget(self) -> None:
        """Take nothing from earlier runs; what is added from now on is found."""
        self._places = {key: place for key, place in self._places.items() if key[0] == "batch"}

    async def add(self, kind: Kind, key: str, record: Record) -> None:
        """Write a record down; it is on disk when this returns. Many at a time share one write.

        Raises:
            OSError: the disk is full, or the like.
        """
        line = {"kind": kind, "key": key, "record": record}
        self._waiting.append(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        self._taken += 1
        mine = self._taken
        async with self._lock:
            if self._written >= mine:
                return  # somebody wrote it along with theirs
            lines, self._waiting = self._waiting, []
            # The line is on its way: a cancellation must not make two of it.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._write, lines)
            self._written += len(lines)

    def _write(self, lines: list[bytes]) -> None:
        start = os.fstat(self._file).st_size
        if start and os.pread(self._file, 1, start - 1) != b"\n":
            lines = [b"\n", *lines]  # a torn line must not take the next one with it
        data = memoryview(b"".join(lines))
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)
        self._read(start)

    def _read(self, start: int = 0) -> None:
        """Note where records are, from a place in the file on. The last of a key holds."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(start)
            for line in file:
                place = (start, len(line))
                start += len(line)
                if (key := _key(line)) is not None:
                    self._places[key] = place


def _key(line: bytes) -> tuple[str, str] | None:
    """The key of a whole line; None for a torn one."""
    try:
        facts = json.loads(line)
        return (str(facts["kind"]), str(facts["key"])) if "record" in facts else None
    except (ValueError, TypeError, KeyError):
        return None
