"""Replicas as processes of their own: `proofbox serve --http` over the stand-in for E2B."""

import functools
import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from mcp import Client
from standin import StandIn

PROOFBOX = Path(sysconfig.get_path("scripts")) / "proofbox"
_END_SECONDS = 60.0


@dataclass(frozen=True)
class ReplicaProcess:
    """One that runs."""

    process: subprocess.Popen[str]
    url: str

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool by a client of this call alone, as what balances the load may choose another each time."""
        async with Client(self.url) as client:
            return await client.call_tool(tool, arguments, read_timeout_seconds=120)

    def kill(self) -> None:
        """As `kill -9` does it."""
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def replica(
    standin: StandIn, store: str, **settings: object
) -> AsyncGenerator[ReplicaProcess]:
    """One replica; `settings` by the names of their variables. It ends by a signal, if it was not killed."""
    chosen = {f"PROOFBOX_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {**os.environ, **standin.environment, "PROOFBOX_STORE": store, **chosen}
    command = [PROOFBOX, "--backend", "e2b", "serve", "--http", "--port", "0", "--json"]
    starting = functools.partial(
        subprocess.Popen[str], command, stdout=subprocess.PIPE, text=True, env=environment
    )
    with await anyio.to_thread.run_sync(starting) as process:
        assert process.stdout is not None
        try:
            said = await anyio.to_thread.run_sync(process.stdout.readline)
            yield ReplicaProcess(process, json.loads(said)["url"])
        finally:
            process.send_signal(signal.SIGTERM)
            with anyio.CancelScope(shield=True), anyio.move_on_after(_END_SECONDS):
                await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
            process.kill()
