"""A program, seen from the keeper of programs: a session with one process to begin with, in namespaces of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import linux, wire
from .children import Child
from .interpreters import Cells, Interpreter
from .session import Session
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Container


class Place:
    """Namespaces, and the process in them that is to do what is asked for.

    `init` stands for process 1, with which all in there dies; `child` is the process; `program` is what it is
    for, once that is there; `killed` is whether we have.
    """

    def __init__(self, init: int, child: Child) -> None:
        self.init = init
        self.child = child
        self.program: Program | None = None
        self.killed = False

    def kill(self) -> None:
        """Kill all that is in there. It is gone when `init` can be read from."""
        self.killed = True
        linux.kill_process(self.init)

    def close(self) -> None:
        """Kill it, whatever becomes of it."""
        self.kill()
        os.close(self.init)
        self.child.close()


class Program(Session):
    """What the host wants done in a place."""

    def __init__(self, host: socket.socket, limits: dict[str, int], place: Place) -> None:
        super().__init__(host, limits)
        self._place = place
        self._then: Callable[[], None] | None = None
        place.program = self

    def child(self, message: Message, body: bytes = b"") -> Child:
        """See `Session`."""
        child = self._place.child
        child.unsent = memoryview(wire.encode(message, body))
        child.push()
        return child

    def release(self, child: Child) -> None:
        """See `Session`: it does what is asked for next, too."""

    def new_interpreter(self, language: str) -> Interpreter:
        """See `Session`."""
        assert language == Cells.name
        return Cells(self._place.child)

    def kill_all(self) -> None:
        """See `Session`."""
        self._place.kill()

    def kill_started_since(self, ticks: int, spared: int) -> bool:
        """See `Session`: nothing is spared, since a program ends with what had to be stopped."""
        self.kill_all()
        return True

    def end(self, then: Callable[[], None]) -> None:
        """See `Session`."""
        self.kill_all()
        self._then = then

    def readers(self) -> list[int | socket.socket]:
        """See `Session`."""
        return [*super().readers(), *([self._place.init] if self._then is not None else [])]

    def turn(self, ready: Container[int | socket.socket]) -> bool:
        """See `Session`."""
        if self._then is not None and self._place.init in ready:
            then, self._then = self._then, None
            then()
        return super().turn(ready)

    def close(self) -> None:
        """Kill it, whether the host knows or not."""
        self._place.close()
        self.host.close()
