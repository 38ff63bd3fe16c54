"""The service: what is in front of the MCP server, and how it is listened for, served and stopped."""

import logging
import socket
from collections.abc import Sequence
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from ..values import SettingsError
from .access import Access
from .bodies import MAX_BYTES, BodyLimits
from .guard import Guard, Names
from .hosting import Hosting, Running
from .settings import HttpSettings, is_loopback
from .tokens import TokenFile, TokenFileError

logger = logging.getLogger(__name__)

PATH = "/mcp"


class HttpService:
    """One service. `hosting` is to be given to the server that it serves; `running` is what that stands
    on, while it runs.

    Raises:
        SettingsError: what was chosen is not safe, or cannot be had. Nothing listens yet.
    """

    def __init__(self, settings: HttpSettings) -> None:
        _check_binding(settings)
        self.settings = settings
        self.hosting = Hosting(Access(_tokens(settings)), self._set_running)
        self.running: Running | None = None

    def app(self, server: MCPServer[Any], routes: Sequence[BaseRoute] = ()) -> ASGIApp:
        """The ASGI application of a server, with more `routes` than that of MCP."""
        app = server.streamable_http_app(
            streamable_http_path=PATH,
            max_request_body_size=MAX_BYTES,
            # The guard does it, for every route and not for this one only.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        # Behind the authentication, so that nobody unknown has their body read.
        manager = server.session_manager
        manager.asgi_app = BodyLimits(manager.asgi_app)  # pyright: ignore[reportAttributeAccessIssue] - it is any ASGI application
        app.routes.extend(routes)
        return Guard(app, self._names(), self._note_status)

    def runner(self, app: ASGIApp) -> uvicorn.Server:
        """What serves it until a signal. Calls that still run get `grace_seconds` to end."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            # Who asks is known by token, and nobody's word is taken for an address.
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=round(self.settings.grace_seconds),
        )
        return uvicorn.Server(config)

    def _set_running(self, running: Running | None) -> None:
        self.running = running

    def _names(self) -> Names:
        return Names(self.settings.allowed_hosts, self.settings.allowed_origins)

    def _note_status(self, status: int) -> None:
        logger.debug("Answered with status %d", status)


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
        listener.listen(128)
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
