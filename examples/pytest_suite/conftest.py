"""Gives every test of the suite the fixture `proofbox`: a client that is connected to a server of its own.

pip install proofbox pytest
pytest
"""

import pytest

pytest_plugins = ["proofbox.server.testing"]


@pytest.fixture
def anyio_backend() -> str:
    """proofbox runs on asyncio; without this line the tests would run on trio too, where that is installed."""
    return "asyncio"


@pytest.fixture
def proofbox_settings() -> dict[str, str]:
    """Any of proofbox's settings; all have defaults."""
    return {"memory": "1G", "max_sessions": "4"}
