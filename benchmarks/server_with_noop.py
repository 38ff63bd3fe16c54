"""proofbox's own server with one more tool that does nothing: the floor to measure from."""

import anyio

from proofbox.server.app import create_server
from proofbox.server.settings import Settings


async def noop(code: str) -> str:
    """Return what came in."""
    return code


async def main() -> None:
    """Serve on stdio."""
    server = create_server(Settings())
    server.add_tool(noop)
    await server.run_stdio_async()


if __name__ == "__main__":
    anyio.run(main)
