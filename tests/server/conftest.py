"""What the tests of the backends share."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from standin import API_KEY, StandIn
from wheelhouse import Wheelhouse

from proofbox.server.sandbox import SandboxRequest
from proofbox.server.sandbox.e2b import E2BBackend, E2BSandbox


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    """The only index that uv knows; its cache is new as well."""
    house = Wheelhouse(tmp_path / "wheels")
    house.add("tiny", "1.2", script="tiny")
    monkeypatch.setenv("UV_DEFAULT_INDEX", house.empty_index)
    monkeypatch.setenv("UV_FIND_LINKS", str(house.directory))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return house


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """Where environments go, below a directory whose name must not get into them."""
    return tmp_path / "home-of-somebody" / "cache"


@pytest.fixture
async def e2b(standin: StandIn) -> AsyncGenerator[E2BBackend]:
    """A backend that may make sandboxes as fast as it likes."""
    backend = E2BBackend(api_key=API_KEY, create_rate=100)
    yield backend
    await backend.close()


@pytest.fixture
async def e2b_sandbox(e2b: E2BBackend) -> E2BSandbox:
    """A sandbox that works."""
    return await e2b.create(SandboxRequest(owner="somebody"))
