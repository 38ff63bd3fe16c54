"""Who looks: browsers cannot send a bearer token, so they show it once and get a cookie that stands for it."""

from collections import OrderedDict
from dataclasses import dataclass

from mcp.server.auth.provider import AccessToken

from ..http.access import Access
from ..principal import LOCAL, principal_of
from ..sessions import Clock
from .visits import Visits, key_of, new_cookie, opened, sealed

# A working day; then the token is asked for again.
VISIT_SECONDS = 8 * 3600.0
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


class Visitors:
    """Those who have signed in. Their tokens are asked about at every look: one that is taken back, or has expired,
    ends the visit at once.
    """

    def __init__(self, access: Access, visits: Visits) -> None:
        self._access = access
        self._visits = visits

    async def find(self, cookie: str, bearer: str = "") -> Visitor | None:
        """Who comes with this cookie, or else with this token; None if nobody that we know.

        Raises:
            StoreUnusable: it cannot be known now.
        """
        if self._access.is_open:
            return Visitor(LOCAL, "this machine", is_known=False)
        text = await self._visits.get(key_of(cookie)) if cookie else None
        token = opened(text, cookie) if text else bearer
        return await self.verify(token) if token else None

    async def verify(self, token: str) -> Visitor | None:
        """Whom a token speaks for, by the same rules as for MCP."""
        if not token or len(token) > _TOKEN_CHARACTERS:
            return None
        found = await self._access.verify_token(token)
        if found is None or not self._has_scopes(found):
            return None
        return Visitor(principal_of(found), found.subject or found.client_id)

    async def begin(self, token: str) -> str:
        """A visit of whoever has this token, which holds; the cookie for it. Raises StoreUnusable."""
        cookie = new_cookie()
        await self._visits.put(key_of(cookie), sealed(token, cookie), VISIT_SECONDS)
        return cookie

    async def end(self, cookie: str) -> None:
        """The visit is over. Raises StoreUnusable."""
        if cookie:
            await self._visits.delete(key_of(cookie))

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
