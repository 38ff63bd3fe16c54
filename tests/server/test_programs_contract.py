"""The suite for programs on each backend; E2B through the stand-in, with and without namespaces."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from programs_contract import *
from programs_contract import SMALL
from standin import API_KEY, Size, StandIn

from proofbox.server.sandbox import Backend, ProgramRunner, SandboxRequest
from proofbox.server.sandbox.e2b import E2BBackend
from proofbox.server.sandbox.local.backend import LocalBackend

# Without namespaces a user for each program is what is left, and only root can give one.
CHANGES_USERS = pytest.mark.skipif(os.geteuid() != 0, reason="the stand-in's root is nobody's")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """As everywhere, but the sandboxes live as long as this module."""
    return "asyncio"


# What the stand-in's root may do decides how the guest keeps programs apart there.
@pytest.fixture(
    scope="module",
    params=[
        "local",
        pytest.param("e2b", marks=pytest.mark.slow),
        pytest.param("e2b without namespaces", marks=[pytest.mark.slow, CHANGES_USERS]),
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    """Which backend the test is about."""
    return request.param


@pytest.fixture(scope="module")
def isolation(kind: str) -> str:
    """What is to keep programs apart there."""
    return "process" if kind == "e2b without namespaces" else "namespaces"


@pytest.fixture(scope="module")
async def sandbox(
    kind: str, local_cache: Path, running_standin: StandIn
) -> AsyncGenerator[ProgramRunner]:
    """One sandbox for all tests of a backend."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_standin.environment.items():
            patch.setenv(name, value)
        running_standin.fleet.size = Size(namespaces=kind != "e2b without namespaces")
        backend: Backend = (
            LocalBackend(cache_dir=local_cache)
            if kind == "local"
            else E2BBackend(api_key=API_KEY, create_rate=100)
        )
        yield await backend.create(SandboxRequest(owner="programs", limits=SMALL))
        await backend.close()
        running_standin.fleet.size = Size()
    assert len(running_standin) == 0
