"""The service: what is in front of the MCP server, and how it is listened for, served and stopped."""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server._otel import OpenTelemetryMiddleware  # pyright: ignore[reportPrivateUsage] - it has no other name
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from ..principal import principal
from ..quotas.quotas import Quotas
from ..quotas.usage import SharedUsage, UsageFile
from ..replicas.team import Team
from ..sessions import Clock, SystemClock
from ..values import SettingsError
from .access import Access
from .audit import Audit
from .bodies import MAX_BYTES, BodyLimits
from .calls import Calls, Ledger
from .connections import MOST, Connections
from .doors import Doors
from .guard import Guard, Names
from .hosting import Hosting, Running
from .metrics import Metrics
from .oauth import oauth_of
from .readiness import Readiness
from .routes import Operations
from .settings import HttpSettings, is_loopback
from .stopping import Endings, Runner, Stop
from .tokens import TokenFile, TokenFileError

PATH = "/mcp"
_BACKLOG = 64


class HttpService:
    """One service. `hosting` is to be given to the server that it serves; `running` is what that stands
    on, while it runs. `now` is the wall clock; `team` are the replicas that it is one of.

    Raises:
        SettingsError: what was chosen is not safe, or cannot be had. Nothing listens yet.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        team: Team | None = None,
    ) -> None:
        _check_binding(settings)
        self.settings = settings
        self.clock = clock or SystemClock()
        self.now = now
        self.hosting = Hosting(
            Access(_tokens(settings), oauth_of(settings)), self._quotas, self._set_running, team
        )
        self.running: Running | None = None
        self.metrics = Metrics()
        self.audit = Audit(settings.audit_file)
        self._stop = Stop()

    async def app(
        self,
        server: MCPServer[Any],
        routes: Sequence[BaseRoute] = (),
        *,
        idle_seconds: float = 900.0,
    ) -> ASGIApp:
        """The ASGI application of a server, with more `routes` than those of MCP and of operations. A
        connection of the handshake era that nobody uses for `idle_seconds` is closed.
        """
        # Below this, the SDK quotes what callers sent.
        logging.getLogger("mcp").setLevel(logging.WARNING)
        await self._watch(server)
        app = server.streamable_http_app(
            streamable_http_path=PATH,
            max_request_body_size=MAX_BYTES,
            session_idle_timeout=idle_seconds,
            # The guard does it, for every route and not for this one only.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        # Behind the authentication, so that nobody unknown has their body read.
        manager = server.session_manager
        connections = Connections(
            manager.asgi_app, principal, self.clock, idle_seconds=idle_seconds, most=MOST
        )
        manager.asgi_app = BodyLimits(connections)  # pyright: ignore[reportAttributeAccessIssue] - it is any ASGI application
        # Behind something that does TLS, a redirection would have clients send their tokens without it.
        app.router.redirect_slashes = False
        app.routes.extend([*self._operations(connections).routes(), *routes])
        return Endings(
            Guard(app, self._names(), self.metrics.count_status), self._stop, stream_path=PATH
        )

    def runner(self, app: ASGIApp) -> Runner:
        """What serves it until a signal. Calls that still run get `grace_seconds` to end; then their callers are told
        that they were cut.
        """
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            # Who asks is known by token, and nobody's word is taken for an address.
            proxy_headers=False,
            ws="none",
            http=Doors().protocol(),
            # asyncio takes in so many before any of them can be turned away.
            backlog=_BACKLOG,
        )
        return Runner(config, self._stop, self.settings.grace_seconds, self.clock)

    def _quotas(self, folder: Path) -> Quotas:
        team = self.hosting.team
        return Quotas(
            self.settings.allowances,
            store=UsageFile(folder / "usage.sqlite3") if team is None else SharedUsage(team.store),
            clock=self.clock,
            now=self.now,
        )

    def _set_running(self, running: Running | None) -> None:
        self.running = running
        if running is None:
            self.audit.close()

    def _operations(self, connections: Connections) -> Operations:
        access = self.hosting.access
        readiness = Readiness(access, self.clock)
        return Operations(
            access, self.metrics, self.audit, readiness, connections, lambda: self.running
        )

    async def _watch(self, server: MCPServer[Any]) -> None:
        tools = {tool.name for tool in await server.list_tools()}
        calls = Calls(
            tools,
            lambda: self.running.quotas if self.running is not None else None,
            Ledger(self.audit, self.metrics, self.now),
            self._stop,
        )
        # The SDK's own spans have the messages of errors in them.
        others = [one for one in server.middleware if not isinstance(one, OpenTelemetryMiddleware)]
        server.middleware[:] = [calls, *others]

    def _names(self) -> Names:
        return Names(self.settings.allowed_hosts, self.settings.allowed_origins)


def listen(settings: HttpSettings) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        SettingsError: the address or the port cannot be had.
    """
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"The host {host} is not known: {error.strerror}.") from error
    family, kind, protocol, _, address = found[0]
    if is_loopback(host) and not is_loopback(str(address[0])):
        raise SettingsError(f"{host} means {address[0]} here: give an address instead.")
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"Port {port} cannot be had: {error.strerror}.") from error
    return listener


def _check_binding(settings: HttpSettings) -> None:
    if is_loopback(settings.host):
        return
    missing: list[str] = []
    if not settings.has_authentication:
        missing.append("authentication (PROOFBOX_TOKEN_FILE or PROOFBOX_OAUTH_ISSUER)")
    if not settings.allowed_hosts:
        missing.append("allowed hosts (PROOFBOX_ALLOWED_HOSTS)")
    if missing:
        raise SettingsError(
            f"{settings.host} can be reached from other machines, and everybody who can connect could run "
            f"code: set {' and '.join(missing)}, or listen on 127.0.0.1."
        )


def _tokens(settings: HttpSettings) -> TokenFile | None:
    if settings.token_file is None:
        return None
    tokens = TokenFile(settings.token_file)
    try:
        tokens.load()
    except TokenFileError as error:
        raise SettingsError(str(error)) from error
    return tokens
