"""Finding sandboxes by the marks on them, and ending them by their names."""

import anyio
from e2b.sandbox.sandbox_api import SandboxInfo, SandboxQuery

from .bounded import AsyncSandbox
from .failures import translated
from .replica import APP

_REQUEST_SECONDS = 20.0


class Listing:
    """The sandboxes of one account."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    async def find(self, **metadata: str) -> list[SandboxInfo]:
        """Those of proofbox with these marks, running and paused ones, the oldest first.

        Raises as `translated` does.
        """
        found: list[SandboxInfo] = []
        with translated("list the E2B sandboxes"), anyio.fail_after(6 * _REQUEST_SECONDS):
            pages = AsyncSandbox.list(
                query=SandboxQuery(metadata={"app": APP, **metadata}), api_key=self._api_key
            )
            while pages.has_next:
                found += await pages.next_items()
        return sorted(found, key=lambda info: info.started_at)

    async def kill(self, sandbox_id: str) -> bool:
        """End one; whether there was one. Raises as `translated` does."""
        with translated("kill an E2B sandbox"), anyio.fail_after(_REQUEST_SECONDS):
            return await AsyncSandbox.kill(sandbox_id, api_key=self._api_key)
