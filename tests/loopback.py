"""A server on loopback in a thread of its own, for stand-ins of services that code under test calls.

class ShopStub(Loopback):
    def routes(self) -> list[Route]: ...

with ShopStub() as stub:
    httpx2.get(stub.url)
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

STARTS_WITHIN_SECONDS = 20


class Loopback:
    """It listens on a free port while the block runs."""

    def __init__(self) -> None:
        self.server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=self.routes()),
                host="127.0.0.1",
                port=0,
                log_level="error",
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=type(self).__name__, daemon=True)

    def routes(self) -> Sequence[Route]:
        """What it answers; the stand-in says."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(STARTS_WITHIN_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(STARTS_WITHIN_SECONDS)

    @property
    def url(self) -> str:
        """Where it listens."""
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @property
    def is_idle(self) -> bool:
        """Whether nobody is connected, so that everything that was sent has been counted."""
        return not self.server.server_state.connections

    def _serve(self) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._run())
        finally:
            loop.close()

    async def _run(self) -> None:
        serving = asyncio.ensure_future(self.server.serve())
        while not self.server.started and not serving.done():
            await asyncio.sleep(0.01)
        self._started.set()
        await serving
