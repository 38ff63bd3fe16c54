"""An App over a backend that behaves."""

from collections.abc import AsyncGenerator

import pytest
from fakes import FakeBackend

from proofbox.server.assembly import open_app
from proofbox.server.settings import Settings
from proofbox.tools._app import App


@pytest.fixture
async def app(backend: FakeBackend) -> AsyncGenerator[App]:
    """An App over `backend`."""
    async with open_app(Settings(), backend=backend) as app:
        yield app
