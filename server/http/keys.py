"""The public keys of an OAuth server: found from its issuer, kept for a while, asked for again when one is unknown."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2

from ..sessions import Clock, SystemClock

logger = logging.getLogger(__name__)

Fetch = Callable[[str], Awaitable[bytes]]

FRESH_SECONDS = 300.0
# A key that nobody knows may be new, or made up by somebody who wants us to ask all the time.
RETRY_SECONDS = 30.0
# An OAuth server that is away for a while must not lock everybody out; one whose keys were stolen may be away too.
STALE_SECONDS = 3600.0

_MOST_BYTES = 1024**2
_MOST_SECONDS = 5.0

Key = Mapping[str, Any]


class KeysUnavailable(Exception):
    """The OAuth server did not give its keys; the message is for the operator."""


class Keys:
    """The keys of an issuer. `address` is that of its key set, found by its metadata if there is none."""

    def __init__(
        self,
        issuer: str,
        address: str | None = None,
        *,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._issuer = issuer
        self._address = address
        self._clock = clock or SystemClock()
        self._fetch = fetch or fetched
        self._keys: tuple[Key, ...] = ()
        self._got: float | None = None
        self._tried: float | None = None
        self._turn = anyio.Lock()

    async def find(self, name: str | None) -> Key | None:
        """The key of that name; without a name the only one there is. None if there is none."""
        key = self._known(name)
        if key is None or self._age(self._got) >= FRESH_SECONDS:
            await self._renew()
            key = self._known(name)
        return key

    async def are_there(self) -> bool:
        """Whether there are any that can be used; they are asked for if not."""
        if self._age(self._got) >= STALE_SECONDS:
            await self._renew()
        return self._age(self._got) < STALE_SECONDS

    def _known(self, name: str | None) -> Key | None:
        if self._age(self._got) >= STALE_SECONDS:
            return None
        if name is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.get("kid") == name), None)

    def _age(self, moment: float | None) -> float:
        return float("inf") if moment is None else self._clock.monotonic() - moment

    async def _renew(self) -> None:
        async with self._turn:
            if self._age(self._tried) < RETRY_SECONDS:
                return
            self._tried = self._clock.monotonic()
            try:
                self._keys = await self._asked()
            except KeysUnavailable as error:
                logger.warning("The keys of %s cannot be had now: %s", self._issuer, error)
            else:
                self._got = self._clock.monotonic()

    async def _asked(self) -> tuple[Key, ...]:
        address = self._address or await self._found()
        keys = (await self._document(address)).get("keys")
        if not isinstance(keys, list):
            raise KeysUnavailable(f"{address} is no key set")
        found = [cast(Key, key) for key in cast(list[Any], keys) if isinstance(key, dict)]
        return tuple(key for key in found if key.get("use", "sig") == "sig")

    async def _found(self) -> str:
        """Where the keys are, as the metadata of the issuer says (RFC 8414, else OpenID Connect)."""
        parts = urlsplit(self._issuer)
        path = parts.path.rstrip("/")
        addresses = [
            f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
            f"{self._issuer.rstrip('/')}/.well-known/openid-configuration",
        ]
        troubles: list[str] = []
        for address in addresses:
            try:
                facts = await self._document(address)
            except KeysUnavailable as error:
                troubles.append(str(error))
                continue
            keys = facts.get("jwks_uri")
            if facts.get("issuer") != self._issuer:
                troubles.append(f"{address} is of another issuer")
            elif not isinstance(keys, str) or urlsplit(keys).scheme not in {parts.scheme, "https"}:
                troubles.append(f"{address} names no keys")
            else:
                return keys
        raise KeysUnavailable("; ".join(troubles))

    async def _document(self, address: str) -> Mapping[str, Any]:
        try:
            facts = json.loads(await self._fetch(address))
        except (OSError, ValueError, RecursionError, httpx2.HTTPError) as error:
            raise KeysUnavailable(f"{address}: {error or type(error).__name__}") from error
        if not isinstance(facts, dict):
            raise KeysUnavailable(f"{address} is no JSON object")
        return cast(Mapping[str, Any], facts)


async def fetched(address: str) -> bytes:
    """A small document. Redirections are not followed: the issuer is whom we trust.

    Raises:
        httpx2.HTTPError, OSError: it cannot be had.
    """
    data = bytearray()
    with anyio.fail_after(_MOST_SECONDS):
        async with (
            httpx2.AsyncClient(follow_redirects=False) as http,
            http.stream("GET", address, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status_code != 200:
                raise OSError(f"it answers with status {answer.status_code}")
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > _MOST_BYTES:
                    raise OSError("it is too large")
    return bytes(data)
