"""Where visits are kept: in memory, or in the store that replicas share, so that each of them knows its visitors.

What is kept of a visit is the token, encrypted under a key that is made of the cookie. The cookie is with the
browser alone, so neither this memory nor the store gives a token away.
"""

import base64
import hashlib
import secrets
from collections import OrderedDict
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken

from ..replicas.store import SharedStore
from ..sessions import Clock

_KIND = "visits"
_MOST = 1_000


class Visits(Protocol):
    """Texts by key, each for a time. All may raise StoreUnusable."""

    async def put(self, key: str, text: str, seconds: float) -> None: ...

    async def get(self, key: str) -> str | None: ...

    async def delete(self, key: str) -> None: ...


class OwnVisits:
    """Those of this process, which end with it. The oldest gives way when there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def put(self, key: str, text: str, seconds: float) -> None:
        self._kept[key] = text, self._clock.monotonic() + seconds
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    async def get(self, key: str) -> str | None:
        text, until = self._kept.get(key, ("", 0.0))
        return text if until > self._clock.monotonic() else None

    async def delete(self, key: str) -> None:
        self._kept.pop(key, None)


class SharedVisits:
    """Those of all replicas."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    async def put(self, key: str, text: str, seconds: float) -> None:
        await self._store.put(_KIND, key, text, seconds=seconds)

    async def get(self, key: str) -> str | None:
        record = await self._store.get(_KIND, key)
        return record.head if record is not None else None

    async def delete(self, key: str) -> None:
        await self._store.delete(_KIND, key)


def new_cookie() -> str:
    """A cookie that nobody has."""
    return secrets.token_urlsafe(32)


def key_of(cookie: str) -> str:
    """What a visit is found by. How long that takes says nothing about the cookie."""
    return hashlib.sha256(b"proofbox visit " + _bytes(cookie)).hexdigest()


def sealed(token: str, cookie: str) -> str:
    """A token that only whoever has the cookie can read."""
    return _lock(cookie).encrypt(_bytes(token)).decode()


def opened(text: str, cookie: str) -> str:
    """The token in a sealed text; empty if it is none."""
    try:
        return _lock(cookie).decrypt(text).decode()
    except (InvalidToken, ValueError):
        return ""


def _lock(cookie: str) -> Fernet:
    digest = hashlib.sha256(b"proofbox token " + _bytes(cookie)).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
