"""The contract suite on each backend; E2B through the stand-in, with the unmodified SDK."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
from sandbox_contract import *
from sandbox_contract import Expected
from standin import API_KEY

from proofbox.server.sandbox import Backend, Limits, Sandbox, SandboxRequest

LIMITS = Limits(memory_bytes=1024**3, processes=100, disk_bytes=64 * 1024**2)
EXPECTED = {"local": Expected(own_exit="exited"), "e2b": Expected(own_exit="killed")}


# The stand-in starts a real ipykernel for each sandbox.
@pytest.fixture(params=["local", pytest.param("e2b", marks=pytest.mark.slow)])
def backend_name(request: pytest.FixtureRequest) -> str:
    """Which backend the test is about."""
    return request.param


@pytest.fixture
def expected(backend_name: str) -> Expected:
    """The choices of the backend under test."""
    return EXPECTED[backend_name]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all, so that those on this machine share a jail."""
    return "asyncio"


def local(cache: Path) -> Backend:
    """One on this machine."""
    from proofbox.server.sandbox.local.backend import LocalBackend

    return LocalBackend(cache_dir=cache)


@pytest.fixture(scope="module")
async def jails(local_cache: Path) -> AsyncGenerator[Backend]:
    """The local backend, which one test leaves to the next as one call does in a server."""
    backend = local(local_cache)
    yield backend
    await backend.close()


@pytest.fixture
async def unused(
    backend_name: str, local_cache: Path, request: pytest.FixtureRequest
) -> AsyncGenerator[Backend]:
    """A backend that has opened nothing yet; closed and without leaks afterwards."""
    if backend_name == "local":
        backend = local(local_cache)
    else:
        from proofbox.server.sandbox.e2b import E2BBackend

        request.getfixturevalue("standin")
        backend = E2BBackend(api_key=API_KEY, create_rate=100)
    yield backend
    await backend.close()


@pytest.fixture
def backend(backend_name: str, unused: Backend, jails: Backend) -> Backend:
    """The backend under test."""
    return jails if backend_name == "local" else unused


@pytest.fixture
async def create(
    backend: Backend,
) -> AsyncGenerator[Callable[[SandboxRequest], Awaitable[Sandbox]]]:
    """Makes sandboxes that are closed after the test."""
    made: list[Sandbox] = []

    async def make(request: SandboxRequest) -> Sandbox:
        made.append(await backend.create(request))
        return made[-1]

    yield make
    for sandbox in made:
        await sandbox.close()


@pytest.fixture
async def sandbox(create: Callable[[SandboxRequest], Awaitable[Sandbox]]) -> Sandbox:
    """A fresh sandbox with limits that a test can reach."""
    return await create(SandboxRequest(owner="contract", limits=LIMITS))
