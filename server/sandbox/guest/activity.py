"""What all that a session does has in common. See `activities`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from . import children, wire
from .capture import Capture
from .children import Child
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Container

    from .session import Session

NO_DEADLINE = float("inf")


class Activity:
    """Output captured, a deadline, an answer."""

    child: Child

    def __init__(self, session: Session, message: Message) -> None:
        self.session = session
        self.number: int = message["id"]
        self.finished = False
        self._began_ticks = children.now_in_ticks()
        self._captures = {
            stream: Capture(session.limits["output_bytes"]) for stream in ("stdout", "stderr")
        }
        self._began = time.monotonic()
        self.deadline: float = self._began + message.get("timeout", NO_DEADLINE)
        self._is_last: bool = message.get("last", False)
        self._stopped = ""  # why we are ending it: timed_out or cancelled

    def readers(self) -> list[int | socket.socket]:
        """Descriptors to read from."""
        return [*self.child.outputs]

    def writers(self) -> list[int | socket.socket]:
        """Descriptors to write to."""
        return []

    def handle(self, ready: Container[int | socket.socket]) -> None:
        """Something may be due."""
        self.child.read_output(self._output)
        if self.child.status is not None:
            self._child_ended()
        elif time.monotonic() >= self.deadline:
            self._stop("timed_out")

    def cancel(self) -> None:
        """The host does not want it any more."""
        self._stop("cancelled")

    def _child_ended(self) -> None:
        raise NotImplementedError

    def _stop(self, why: str) -> None:
        raise NotImplementedError

    def _output(self, stream: str, data: bytes) -> None:
        head = self._captures[stream].take(data)
        if head:
            self.session.send({"t": "out", "id": self.number, "s": stream}, head)

    def _finish(self, message: Message, body: bytes = b"") -> None:
        self.finished = True
        if self._is_last:
            self.session.end(partial(self._answer_finally, message, body))
        else:
            self._answer_finally(message, body)

    def _answer_finally(self, message: Message, body: bytes) -> None:
        tails = {stream: capture.finish() for stream, capture in self._captures.items()}
        for stream, (tail, _) in tails.items():
            if tail:
                self.session.send({"t": "tail", "id": self.number, "s": stream}, tail)
        dropped = {stream: count for stream, (_, count) in tails.items()}
        seconds = time.monotonic() - self._began
        answer = {"t": "done", "id": self.number, "dropped": dropped, "seconds": seconds}
        self.session.send({**answer, **message}, body)


def receive(connection: socket.socket) -> bytes:
    """What has arrived; empty if the other side hung up, in whatever way.

    Raises BlockingIOError if nothing has, which says nothing of the other side.
    """
    try:
        return connection.recv(wire.READ_SIZE)
    except BlockingIOError:
        raise
    except OSError:
        return b""
