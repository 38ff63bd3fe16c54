"""Static bearer tokens: a file of hashes, one principal each, read again whenever it changes.

A token is 256 random bits, so a plain SHA-256 of it cannot be turned back, and needs neither salt nor a
slow hash: those protect secrets that people choose, and nobody chooses these. Each line of the file is
`NAME sha256:HEX`, then, if wanted, `expires=YYYY-MM-DD` (the first day on which it is not valid) and
`metrics` (a token that reads /metrics and nothing else).
"""

import hashlib
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

PREFIX = "proofbox_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_MOST_BYTES = 4 * 1024**2

# A file can change twice within one tick of its clock.
_SETTLED_SECONDS = 2.0


class TokenFileError(Exception):
    """The file cannot be used; the message says why, for the operator, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Whom a token speaks for. `expires`: seconds since the epoch, None for never."""

    name: str
    expires: float | None = None
    metrics: bool = False


def is_name(text: str) -> bool:
    """Whether it can name a principal."""
    return _NAME.fullmatch(text) is not None


def new_token() -> str:
    """A token that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


def line_of(token: str, name: str, *, expires: str = "", metrics: bool = False) -> str:
    """The line of the file for a token. `expires` is a date, YYYY-MM-DD."""
    words = [name, f"sha256:{_hash(token)}"]
    words += [f"expires={expires}"] if expires else []
    return " ".join([*words, *(["metrics"] if metrics else [])])


class TokenFile:
    """The file, as it is now. One that cannot be used any more lets nobody in, rather than those of before.

    Attributes:
        trouble: why it cannot be used now; empty if it can.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.trouble = ""
        self._path = path
        self._now = now
        self._seen: tuple[int, ...] | None = None
        self._entries: Mapping[str, Entry] = {}

    def load(self) -> None:
        """Read it, for the first time.

        Raises:
            TokenFileError: it cannot be used.
        """
        self._entries = self._read()
        if not any(not entry.metrics for entry in self._entries.values()):
            raise TokenFileError(
                f"{self._path} has no token that lets anybody in; `proofbox token NAME` makes one."
            )

    def find(self, token: str) -> Entry | None:
        """Whom the token speaks for; None if nobody, or no longer."""
        self.refresh()
        # By its hash: how long the look-up takes says nothing about the token.
        entry = self._entries.get(_hash(token))
        if entry is None or (entry.expires is not None and entry.expires <= self._now()):
            return None
        return entry

    def refresh(self) -> None:
        """Read it again if it has changed."""
        try:
            if self._seen is None or self._seen != _stamp(self._path.stat()):
                before, self._entries = self._entries, self._read()
                if before != self._entries:
                    logger.info("There are %d tokens now", len(self._entries))
        except (OSError, TokenFileError) as error:
            self._entries, self._seen = {}, None
            if not self.trouble:
                logger.error("Nobody can come in until the token file is mended: %s", error)
            self.trouble = str(error)
        else:
            self.trouble = ""

    def _read(self) -> dict[str, Entry]:
        try:
            with self._path.open("rb") as file:
                facts = os.fstat(file.fileno())
                data = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise TokenFileError(f"{self._path} cannot be read: {error.strerror}.") from error
        if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TokenFileError(
                f"Others than its owner may write to {self._path}, and so let anybody in: chmod go-w."
            )
        if len(data) > _MOST_BYTES:
            raise TokenFileError(f"{self._path} is too large.")
        entries = _entries(data, self._path)
        young = self._now() - facts.st_mtime < _SETTLED_SECONDS
        self._seen = None if young else _stamp(facts)
        return entries


def _stamp(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_mode)


def _entries(data: bytes, path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        hashed, entry = _entry(words, f"{path}, line {number}")
        if hashed in entries:
            raise TokenFileError(f"{path}, line {number}: the same token stands above.")
        entries[hashed] = entry
    return entries


def _entry(words: list[str], where: str) -> tuple[str, Entry]:
    hashed = _HASH.fullmatch(words[1]) if len(words) > 1 else None
    if hashed is None or not is_name(words[0]):
        # Not quoted: somebody may have written the token itself there.
        raise TokenFileError(
            f"{where}: a line is NAME sha256:HEX, as `proofbox token NAME` prints it."
        )
    expires: float | None = None
    for word in words[2:]:
        if word == "metrics":
            continue
        expires = _day(word.removeprefix("expires="))
        if expires is None or not word.startswith("expires="):
            raise TokenFileError(
                f"{where}: after the hash come expires=YYYY-MM-DD and metrics, and nothing else."
            )
    return hashed[1], Entry(words[0], expires, "metrics" in words[2:])


def _day(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
