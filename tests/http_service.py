"""The HTTP service in the test's own process, on a real socket, over sandboxes of the test's choice."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from proofbox.server.app import create_server
from proofbox.server.http import tokens
from proofbox.server.http.service import HttpService, listen
from proofbox.server.http.settings import HttpSettings
from proofbox.server.page.routes import routes
from proofbox.server.sandbox import Backend
from proofbox.server.settings import Settings

Era = Literal["auto", "legacy"]
ERAS: tuple[Era, ...] = ("auto", "legacy")


@dataclass(frozen=True)
class Served:
    """A service that runs. `url` is that of MCP, `base` without a path."""

    url: str
    service: HttpService

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")

    @asynccontextmanager
    async def client(self, token: str = "", era: Era = "auto") -> AsyncGenerator[Client]:
        """An MCP client, with a bearer token if there is one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode=era) as client:
                yield client


@asynccontextmanager
async def serving(
    backend: Backend | None,
    http: HttpSettings | None = None,
    settings: Settings | None = None,
    *,
    service: HttpService | None = None,
) -> AsyncGenerator[Served]:
    """Serve on a free port of this machine for as long as the block runs."""
    service = service or HttpService(http or HttpSettings(port=0))
    server = create_server(settings or Settings(), backend=backend, hosting=service.hosting)
    with listen(service.settings) as listener:
        runner = service.runner(await service.app(server, routes(service)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: runner.serve(sockets=[listener]))
            served = Served(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", service)
            try:
                # Answered once everything has started.
                async with httpx2.AsyncClient(timeout=30) as http_client:
                    await http_client.get(f"{served.base}/healthz")
                yield served
            finally:
                runner.should_exit = True


def token_file(folder: Path, *names: str) -> tuple[Path, list[str]]:
    """A file with a token for each name, and the tokens."""
    made = [tokens.new_token() for _ in names]
    lines = [tokens.line_of(token, name) for token, name in zip(made, names, strict=True)]
    path = folder / "tokens"
    path.write_text("\n".join(lines) + "\n")
    return path, made


async def post(
    served: Served, body: bytes | str, *, token: str = "", headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Post a body to MCP as it is, with the headers that a client of this era sends."""
    usual = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    async with httpx2.AsyncClient(timeout=30) as http:
        return await http.post(served.url, content=body, headers=usual | (headers or {}))


def facts(result: Any) -> dict[str, Any]:
    """The structured content of a result."""
    assert result.structured_content is not None, result
    return result.structured_content


def texts(result: Any) -> str:
    """The text of a result."""
    parts: Sequence[Any] = result.content
    return "\n".join(part.text for part in parts if part.type == "text")
