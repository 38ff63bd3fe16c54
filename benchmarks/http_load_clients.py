"""The clients of `http_load.py`, as many as one process is told to be: JSON on stdin, JSON on stdout."""

import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import anyio
import httpx2
from http_load_agent import DEADLINE, Agent, Seen
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


class Cuttable(httpx2.AsyncBaseTransport):
    """Connections that can be cut: nothing more is sent, no farewell either."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=20))
        self.is_cut = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As a client's transport; nobody is there once it was cut."""
        if self.is_cut:
            raise httpx2.ConnectError("cut", request=request)
        return await self._inner.handle_async_request(request)

    async def cut(self) -> None:
        """Drop every connection, whatever is under way on it."""
        self.is_cut = True
        await self._inner.aclose()

    async def aclose(self) -> None:
        """As a client's transport."""
        await self._inner.aclose()


@dataclass(frozen=True)
class Settings:
    """What the process is told; `clients` are their indices, `rounds` the actions of each where not 0. `touch`: each
    only does one thing of each kind that leaves something running, one client after another.
    """

    url: str
    tokens: list[str]
    clients: list[int]
    seconds: float
    rounds: int
    pause: float
    review: bool
    touch: bool


class Fleet:
    """All clients of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen = Seen()
        self._began = time.monotonic()

    async def run(self) -> Seen:
        """Be all of them at once."""
        if self._settings.touch:
            for index in self._settings.clients:
                async with self._connected(index) as (client, _):
                    await Agent(index, self._seen, review=False).touch(client)
            return self._seen
        async with anyio.create_task_group() as clients:
            for index in self._settings.clients:
                clients.start_soon(self._live, index)
        return self._seen

    def _is_over(self) -> bool:
        return time.monotonic() - self._began >= self._settings.seconds

    async def _live(self, index: int) -> None:
        """Act until the time or the rounds are over, in one connection after another."""
        agent = Agent(index, self._seen, review=self._settings.review and index == 0)
        left = self._settings.rounds or sys.maxsize
        while left and not self._is_over():
            async with self._connected(index) as (client, transport):
                for _ in range(min(left, agent.chance.randrange(5, 25))):
                    left -= 1
                    await agent.act(client)
                    await anyio.sleep(agent.chance.expovariate(1 / self._settings.pause))
                    if self._is_over():
                        break
                if agent.chance.random() < 0.5:
                    await self._vanish(agent, client, transport)

    @asynccontextmanager
    async def _connected(self, index: int) -> AsyncGenerator[tuple[Client, Cuttable]]:
        tokens = self._settings.tokens
        # Neighbours are other principals; both eras are in each.
        era: Literal["auto", "legacy"] = "legacy" if index // len(tokens) % 2 else "auto"
        headers = {"Authorization": f"Bearer {tokens[index % len(tokens)]}"}
        transport = Cuttable()
        try:
            async with httpx2.AsyncClient(
                headers=headers, timeout=DEADLINE, transport=transport
            ) as http:
                connection = streamable_http_client(self._settings.url, http_client=http)
                async with Client(connection, mode=era) as client:
                    yield client, transport
        except Exception as error:  # noqa: BLE001 - whatever the SDK makes of it
            # What a connection that was cut raises on its way out is its own affair.
            if not transport.is_cut:
                self._seen.wrong.append(f"client {index} ({era}) has no connection: {error!r}")
                await anyio.sleep(1)

    async def _vanish(self, agent: Agent, client: Client, transport: Cuttable) -> None:
        """In the middle of a call, and without a word."""
        tool, arguments = agent.hanging()

        async def call() -> None:
            with suppress(Exception):
                await client.call_tool(tool, arguments)

        async with anyio.create_task_group() as calling:
            calling.start_soon(call)
            await anyio.sleep(agent.chance.uniform(0.05, 1))
            await transport.cut()
            calling.cancel_scope.cancel()
        self._seen.vanished += 1


def main() -> None:
    """Read, run, write."""
    settings = Settings(**json.load(sys.stdin))
    json.dump(vars(anyio.run(Fleet(settings).run)), sys.stdout)


if __name__ == "__main__":
    main()
