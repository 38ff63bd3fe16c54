"""proofbox's own server with one more tool that does nothing: the floor to measure from."""

import anyio
from mcp.types import ToolAnnotations

from proofbox.server.app import Registration, create_server
from proofbox.server.settings import Settings


async def noop(code: str) -> str:
    """Return what came in."""
    return code


async def main() -> None:
    """Serve on stdio."""
    more = Registration(noop, "Do nothing", ToolAnnotations(read_only_hint=True))
    server = create_server(Settings(), more_tools=(more,))
    await server.run_stdio_async()


if __name__ == "__main__":
    anyio.run(main)
