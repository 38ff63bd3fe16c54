"""Who comes in: the principal that a bearer token speaks for."""

from typing import Protocol

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from starlette.requests import HTTPConnection

from .tokens import Entry, TokenFile

METRICS = "metrics"


class OAuth(Protocol):
    """The other kind of tokens: those that an OAuth server gives."""

    async def find_trouble(self) -> str: ...

    async def verify(self, token: str) -> AccessToken | None: ...

    def settings(self) -> AuthSettings: ...


class Access:
    """The verifier of tokens, of a file or of an OAuth server, or of both."""

    def __init__(self, tokens: TokenFile | None, oauth: OAuth | None = None) -> None:
        self._tokens = tokens
        self._oauth = oauth

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self._tokens is None and self._oauth is None

    async def find_trouble(self) -> str:
        """What keeps people out that should come in, without anything that only the operator may know."""
        if self._tokens is not None:
            self._tokens.refresh()
            if self._tokens.trouble:
                return "the token file cannot be used"
        return "" if self._oauth is None else await self._oauth.find_trouble()

    def settings(self) -> AuthSettings | None:
        """What the SDK is to do with tokens; None where there are none."""
        if self._oauth is not None:
            return self._oauth.settings()
        if self._tokens is None:
            return None
        # An issuer is obligatory and, without a resource, told to nobody: these come from no server.
        return AuthSettings.model_validate(
            {"issuer_url": "https://tokens.invalid", "resource_server_url": None}
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whom it lets in, to the SDK: None if nobody."""
        if self._tokens is not None and (entry := self._tokens.find(token)) is not None:
            return None if entry.metrics else self._of_file(entry)
        return None if self._oauth is None else await self._oauth.verify(token)

    def _of_file(self, entry: Entry) -> AccessToken:
        """As the SDK, which holds every token to what OAuth asks for, has one that the operator gave for all of it."""
        asked = None if self._oauth is None else self._oauth.settings()
        resource = None if asked is None else asked.resource_server_url
        return AccessToken(
            token="",  # nobody further inside needs it
            client_id=entry.name,
            scopes=[] if asked is None else list(asked.required_scopes or ()),
            resource=None if resource is None else str(resource),
        )

    def may_read_metrics(self, request: HTTPConnection) -> bool:
        """Whether a request comes with a token for that, or none is asked for."""
        if self.is_open:
            return True
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        entry = self._tokens.find(token.strip()) if self._tokens is not None else None
        return kind.lower() == "bearer" and entry is not None and entry.metrics
