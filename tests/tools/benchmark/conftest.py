"""Sandboxes of the real local backend, as the judge opens them."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from proofbox.server.programs import OpenSandbox
from proofbox.server.sandbox import ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the tests of a module, so that they share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def open_sandbox(local_cache: Path) -> AsyncGenerator[OpenSandbox]:
    """Opens sandboxes, each a session of its own; none outlives its use."""
    backend = LocalBackend(cache_dir=local_cache)

    @asynccontextmanager
    async def opened() -> AsyncGenerator[ProgramRunner]:
        sandbox = await backend.create(SandboxRequest(owner="benchmark"))
        try:
            yield sandbox
        finally:
            await sandbox.close()

    def open_one() -> AbstractAsyncContextManager[ProgramRunner]:
        return opened()

    yield open_one
    await backend.close()
