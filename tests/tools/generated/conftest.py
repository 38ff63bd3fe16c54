"""Apps over a jail: what tests are worth can only be seen where they really run."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from proofbox.server.assembly import open_app
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.server.settings import Settings
from proofbox.tools._app import App


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the tests of a module, so that they share a jail."""
    return "asyncio"


@pytest.fixture(scope="module")
async def jailed(local_cache: Path) -> AsyncGenerator[App]:
    """An App whose sandboxes are jails on this machine."""
    backend = LocalBackend(cache_dir=local_cache)
    async with open_app(Settings(), backend=backend, warm=False) as app:
        yield app
