"""The pytest fixtures, for suites whose tests run by anyio's plugin, which comes with proofbox."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from .client import Proofbox, connected


@pytest.fixture
def proofbox_settings() -> Mapping[str, Any]:
    """What `connected` is given. Override it in a conftest.py or a module for other settings."""
    return {}


@pytest.fixture
async def proofbox(
    anyio_backend: object, proofbox_settings: Mapping[str, Any]
) -> AsyncGenerator[Proofbox]:
    """A client of a server of the test's own: no session or job is left from another test."""
    async with connected(**proofbox_settings) as client:
        yield client
