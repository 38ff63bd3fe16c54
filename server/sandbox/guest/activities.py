"""What a session is doing: running code, running a command, touching a file.

Each activity is driven by the keeper: it names the descriptors it waits for and its deadline, and is handled
whenever one of them is due. How it ended is decided here, from the wait status, the clock and our own signals,
never from what user code printed.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from . import files, interpreters, wire
from .activity import Activity, receive
from .children import Child
from .command import Command
from .run import Run
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from .keeper import Keeper


LANGUAGES = interpreters.LANGUAGES


def start(keeper: Keeper, message: Message, body: bytes) -> Activity:
    """The activity for a request."""
    if message["op"] == "run":
        return Run(keeper, message, body)
    if message["op"] == "command":
        return Command(keeper, message)
    if message["op"] == "list":
        return _Listing(keeper, message)
    if message["op"] == "end":
        return _End(keeper, message)
    return _FileOperation(keeper, message, body)


class _End(Activity):
    """Everything in the session killed, and gone, before the answer."""

    def __init__(self, keeper: Keeper, message: Message) -> None:
        super().__init__(keeper, message)
        keeper.end()
        self._finish({})


class _Listing(Activity):
    """What is below a directory. Names and sizes harm nobody, so it costs no process of its own."""

    def __init__(self, keeper: Keeper, message: Message) -> None:
        super().__init__(keeper, message)
        self._finish(*files.serve(message, b""))


class _FileOperation(Activity):
    """Reading, writing or listing, in a child without rights that answers with one frame."""

    def __init__(self, keeper: Keeper, message: Message, body: bytes) -> None:
        super().__init__(keeper, message)

        def main(connection: socket.socket) -> None:
            connection.sendall(wire.encode(*files.serve(message, body)))

        self.child = Child(main, keeper, connected=True)
        self.child.connection.setblocking(True)
        self._reader = wire.FrameReader()

    def readers(self) -> list[int | socket.socket]:
        return [self.child.connection]

    def handle(self, ready: Sequence[int | socket.socket]) -> None:
        if self.child.connection in ready:
            data = receive(self.child.connection)
            frames = self._reader.feed(data)
            if frames:
                self._end(*frames[0])
            elif not data:
                self._end({"error": "the file operation was killed", "errno": "EINTR"}, b"")
        elif time.monotonic() >= self.deadline:
            self._stop("timed_out")

    def _stop(self, why: str) -> None:
        self._end({"error": "the file operation did not end", "errno": "ETIMEDOUT"}, b"")

    def _end(self, message: Message, body: bytes) -> None:
        self.child.signal_group(signal.SIGKILL)
        self.child.close()
        self._finish(message, body)
