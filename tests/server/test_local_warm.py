"""What sessions on this machine find ready."""

import sys
from pathlib import Path

import anyio
import pytest

if sys.platform != "linux":
    pytest.skip("the local backend needs Linux", allow_module_level=True)

from proofbox.server.sandbox import SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend

READY = "import sys\nprint({'numpy', 'pandas', 'matplotlib.pyplot'} <= set(sys.modules))"


@pytest.mark.slow
async def test_what_takes_long_to_import_is_there_once_a_jail_is_warm(local_cache: Path) -> None:
    """The first session does not wait for it; those that start later have it."""
    backend = LocalBackend(cache_dir=local_cache)
    try:
        with anyio.fail_after(120):
            first = await backend.create(SandboxRequest(owner="somebody"))
            assert (await first.run_code(READY)).outcome == "completed"
            is_ready = False
            while not is_ready:
                later = await backend.create(SandboxRequest(owner="somebody"))
                is_ready = (await later.run_code(READY)).stdout.text == "True\n"
                await later.close()
            await first.close()
    finally:
        await backend.close()
