"""What the host asks of a session, and what it is told: the part that is the same wherever the session is kept.

One request at a time: `run`, `command`, `write`, `write_many`, `read`, `list`, `end`; `cancel` may come in between. Each is answered
by one `done`, after any number of `out` and `display`; a request with `last` does what `end` does before its `done`.
When the host hangs up, the session ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import activities, activity, children, wire
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Container

    from .activities import Activity
    from .children import Child
    from .interpreters import Interpreter


class Session:
    """Everything that a session's requests share."""

    def __init__(self, host: socket.socket, limits: dict[str, int]) -> None:
        self.limits = limits
        self.interpreters: dict[str, Interpreter] = {}
        self.host = host
        self._lost: set[str] = set()
        self._reader = wire.FrameReader()
        self._activity: Activity | None = None
        self._unsent = b""

    def child(self, message: Message, body: bytes = b"") -> Child:
        """A process that does what a request asks for, see `work`. Raises NoProcess."""
        raise NotImplementedError

    def release(self, child: Child) -> None:
        """A `child` that was not a command has done what it was for."""
        raise NotImplementedError

    def new_interpreter(self, language: str) -> Interpreter:
        """A new interpreter for a language. Raises NoProcess."""
        raise NotImplementedError

    def kill_all(self) -> None:
        """Kill every process of the session, all at once."""
        raise NotImplementedError

    def kill_started_since(self, ticks: int, spared: int) -> bool:
        """Kill what started at `ticks` or later; false if that took killing `spared`, too."""
        raise NotImplementedError

    def end(self, then: Callable[[], None]) -> None:
        """Kill everything in the session; call `then` when it is gone."""
        raise NotImplementedError

    def send(self, message: Message, body: bytes = b"") -> None:
        """One frame to the host, at the end of the turn: it need not wake up for each."""
        self._unsent += wire.encode(message, body)
        if len(self._unsent) > wire.READ_SIZE:
            self.flush()

    def flush(self) -> None:
        """Send what there is. Raises OSError if the host hung up."""
        if self._unsent:
            frames, self._unsent = self._unsent, b""
            self.host.sendall(frames)

    def interpreter(self, language: str) -> Interpreter:
        """The running interpreter for a language; a new one if there is none."""
        if language not in self.interpreters:
            self.interpreters[language] = self.new_interpreter(language)
        return self.interpreters[language]

    def has_lost(self, language: str) -> bool:
        """Whether an interpreter for a language died, and nobody has been told yet."""
        return language in self._lost

    def told_loss(self, language: str) -> None:
        """Somebody has."""
        self._lost.discard(language)

    def forget_interpreters(self) -> None:
        """They are dead, all of them: the next calls get new ones."""
        for language in list(self.interpreters):
            self.forget_interpreter(language)

    def forget_interpreter(self, language: str) -> None:
        """The same of one."""
        self.interpreters.pop(language).child.close()
        self._lost.add(language)

    def readers(self) -> list[int | socket.socket]:
        """What may have something for it."""
        waiting = self._activity.readers() if self._activity is not None else []
        return [self.host, *waiting]

    def writers(self) -> list[int | socket.socket]:
        """What it waits to write to."""
        return self._activity.writers() if self._activity is not None else []

    def deadline(self) -> float:
        """When something is due though nothing is ready."""
        return self._activity.deadline if self._activity is not None else activity.NO_DEADLINE

    def turn(self, ready: Container[int | socket.socket]) -> bool:
        """Something may be due; false if the host hung up. Raises OSError, WireError if it is no host of ours."""
        if self._activity is not None:
            self._activity.handle(ready)
            self._rest()
        return self.host not in ready or self._receive()

    def _receive(self) -> bool:
        data = self.host.recv(wire.READ_SIZE)
        for message, body in self._reader.feed(data):
            if message["op"] == "cancel":
                if self._activity is not None and self._activity.number == message["id"]:
                    self._activity.cancel()
                    self._rest()
            else:
                self._start(message, body)
        return bool(data)

    def _start(self, message: Message, body: bytes) -> None:
        try:
            self._activity = activities.start(self, message, body)
        except children.NoProcess as error:
            self.send({"t": "done", "id": message["id"], "not_started": str(error)})
            return
        self._rest()

    def _rest(self) -> None:
        if self._activity is not None and self._activity.finished:
            self._activity = None

    def ended(self, pid: int, status: int) -> None:
        """A child of the session has ended."""
        if self._activity is not None and self._activity.child.pid == pid:
            self._activity.child.status = status
            return
        for language, interpreter in list(self.interpreters.items()):
            if interpreter.child.pid == pid:
                self.forget_interpreter(language)
