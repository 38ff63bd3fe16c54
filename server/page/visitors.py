"""Who looks: browsers cannot send a bearer token, so they show it once and get a cookie that stands for it."""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from mcp.server.auth.provider import AccessToken

from ..http.access import Access
from ..principal import LOCAL, principal_of
from ..sessions import Clock

# A working day; then the token is asked for again.
VISIT_SECONDS = 8 * 3600.0
_MOST_VISITS = 1_000
_TOKEN_CHARACTERS = 16_000

# A token has 256 bits: this is not against guessing it, but against those who try all the same.
_GUESSES = 10
_SECONDS_A_GUESS = 6.0
_MOST_ADDRESSES = 1_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose things are shown. `name` is for people; `is_known`: there was somebody to ask for a token."""

    principal: str
    name: str
    is_known: bool = True


@dataclass(slots=True)
class _Visit:
    token: str
    until: float


class Visitors:
    """Those who have signed in. Their tokens are kept here, in memory, and asked about at every look: one that is
    taken back, or has expired, ends the visit at once. All visits end with the process.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._visits: OrderedDict[str, _Visit] = OrderedDict()

    async def find(self, cookie: str, bearer: str = "") -> Visitor | None:
        """Who comes with this cookie, or else with this token; None if nobody that we know."""
        if self._access.is_open:
            return Visitor(LOCAL, "this machine", is_known=False)
        visit = self._visits.get(_hash(cookie)) if cookie else None
        if visit is not None and visit.until <= self._clock.monotonic():
            self.end(cookie)
            visit = None
        token = visit.token if visit is not None else bearer
        return await self.verify(token) if token else None

    async def verify(self, token: str) -> Visitor | None:
        """Whom a token speaks for, by the same rules as for MCP."""
        if not token or len(token) > _TOKEN_CHARACTERS:
            return None
        found = await self._access.verify_token(token)
        if found is None or not self._has_scopes(found):
            return None
        return Visitor(principal_of(found), found.subject or found.client_id)

    def begin(self, token: str) -> str:
        """A visit of whoever has this token, which holds; the cookie for it."""
        cookie = secrets.token_urlsafe(32)
        until = self._clock.monotonic() + VISIT_SECONDS
        self._visits[_hash(cookie)] = _Visit(token, until)
        while len(self._visits) > _MOST_VISITS:
            self._visits.popitem(last=False)
        return cookie

    def end(self, cookie: str) -> None:
        """The visit is over."""
        self._visits.pop(_hash(cookie), None)

    def _has_scopes(self, token: AccessToken) -> bool:
        settings = self._access.settings()
        wanted = settings.required_scopes if settings is not None else None
        return set(wanted or ()) <= set(token.scopes)


class Guesses:
    """Counts wrong tokens by where they come from: a few at once, then one every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """How long this address has to wait before it may try again."""
        ahead = self._until.get(address, 0.0) - self._clock.monotonic()
        return max(0.0, ahead - (_GUESSES - 1) * _SECONDS_A_GUESS)

    def note_wrong(self, address: str) -> None:
        """It was none."""
        start = max(self._until.pop(address, 0.0), self._clock.monotonic())
        self._until[address] = start + _SECONDS_A_GUESS
        while len(self._until) > _MOST_ADDRESSES:
            self._until.popitem(last=False)


def _hash(cookie: str) -> str:
    # How long the look-up takes says nothing about the cookie.
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
