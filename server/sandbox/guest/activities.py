"""What a session is doing: running code, running a command, touching a file.

Each activity is driven by the keeper: it names the descriptors it waits for and its deadline, and is handled
whenever one of them is due. How it ended is decided here, from the wait status, the clock and our own signals,
never from what user code printed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import files, wire
from .activity import Activity, receive
from .command import Command
from .run import Run
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Container

    from .session import Session


def start(session: Session, message: Message, body: bytes) -> Activity:
    """The activity for a request."""
    if message["op"] == "run":
        return Run(session, message, body)
    if message["op"] == "command":
        return Command(session, message)
    if message["op"] == "list":
        return _Listing(session, message)
    if message["op"] == "end":
        return _End(session, message)
    return _FileOperation(session, message, body)


class _End(Activity):
    """Everything in the session killed, and gone, before the answer."""

    def __init__(self, session: Session, message: Message) -> None:
        super().__init__(session, {**message, "last": True})
        self._finish({})


class _Listing(Activity):
    """What is below a directory. Names and sizes harm nobody, so it costs no process of its own."""

    def __init__(self, session: Session, message: Message) -> None:
        super().__init__(session, message)
        self._finish(*files.serve(message, b""))


class _FileOperation(Activity):
    """Reading, writing or listing, in a child without rights that answers with one frame."""

    def __init__(self, session: Session, message: Message, body: bytes) -> None:
        super().__init__(session, message)
        self.child = session.child(message, body)
        self._reader = wire.FrameReader()

    def readers(self) -> list[int | socket.socket]:
        return [self.child.connection]

    def writers(self) -> list[int | socket.socket]:
        return [self.child.connection] if self.child.unsent else []

    def handle(self, ready: Container[int | socket.socket]) -> None:
        self.child.push()
        if self.child.connection in ready:
            try:
                data = receive(self.child.connection)
            except BlockingIOError:
                return
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
        self.session.release(self.child)
        self._finish(message, body)
