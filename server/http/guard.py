"""In front of every route: who is addressed, and from which page. Against a browser that was tricked."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")

# What asks for these knows an address and no name. They say nothing that is worth having.
_ANY_HOST = {"/healthz", "/readyz"}


@dataclass(frozen=True, slots=True)
class Names:
    """How the service may be addressed, and by pages of which origins.

    Without any `hosts`, by the names of this machine for itself, and by pages that come from it.
    """

    hosts: Collection[str] = ()
    origins: Collection[str] = ()

    def knows_host(self, header: str) -> bool:
        """Whether a Host header, in small letters, is one of ours."""
        match = _AUTHORITY.fullmatch(header)
        if match is None:
            return False
        return not {match[1], header}.isdisjoint(self.hosts or _OWN_NAMES)

    def knows_origin(self, header: str, host: str) -> bool:
        """Whether an Origin header is one of ours, of a request to that host."""
        scheme, _, authority = header.partition("://")
        if scheme not in {"http", "https"}:
            return False
        if header in self.origins or authority == host:
            return True
        return not (self.hosts or self.origins) and self.knows_host(authority)


class Guard:
    """ASGI middleware. `on_status` is told the status of every answer."""

    def __init__(self, app: ASGIApp, names: Names, on_status: Callable[[int], None]) -> None:
        self._app = app
        self._names = names
        self._on_status = on_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._on_status(message["status"])
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, watched)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["type"] != "http":
            return PlainTextResponse("There are no websockets here.", 400)
        headers = Headers(scope=scope)
        hosts = [host.lower() for host in headers.getlist("host")]
        if scope["path"] in _ANY_HOST:
            return None
        if len(hosts) != 1 or not self._names.knows_host(hosts[0]):
            return PlainTextResponse(
                "The Host header is none that this service may be addressed by. Its operator names them "
                "with PROOFBOX_ALLOWED_HOSTS.",
                421,
            )
        for origin in headers.getlist("origin"):
            if not self._names.knows_origin(origin.lower(), hosts[0]):
                return PlainTextResponse(
                    "No page of that origin may call this service. Its operator names them with "
                    "PROOFBOX_ALLOWED_ORIGINS.",
                    403,
                )
        return None
