"""A server on stdio over fake sandboxes, which writes down that everything was closed.

Run as `python stdio_server.py FILE`. Code that says `wait` never ends; `hang` as a second argument
makes the end of the backend hang.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
from played import PlayedBackend, PlayedSandbox

from proofbox.server import transports
from proofbox.server.app import ProofboxServer, create_server
from proofbox.server.sandbox import Captured, Execution, OnOutput
from proofbox.server.settings import Settings
from proofbox.server.transports import serve_stdio


async def play(sandbox: PlayedSandbox, code: str, on_output: OnOutput) -> Execution:
    """Say what was asked, and wait for ever if that was asked."""
    on_output("stdout", "started\n")
    if code == "wait":
        await anyio.Event().wait()
    # What a library prints must not reach the client as if it were the protocol.
    sys.stdout.write("stray\n")
    sys.stdout.flush()
    return Execution("completed", stdout=Captured(code))


class WitnessedBackend(PlayedBackend):
    """Leaves a file behind when it has closed everything."""

    async def close(self) -> None:
        await super().close()
        Path(sys.argv[1]).write_text(f"open: {self.open}")
        if sys.argv[2:] == ["hang"]:
            await anyio.Event().wait()


def main() -> None:
    """Serve until stdin ends or a signal comes."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    backend = WitnessedBackend(play)

    def build(on_closed: Callable[[], None]) -> ProofboxServer:
        return create_server(Settings(), backend=backend, on_closed=on_closed)

    if sys.argv[2:] == ["hang"]:
        transports.CLOSE_SECONDS = 0.1
    anyio.run(serve_stdio, build)


if __name__ == "__main__":
    main()
