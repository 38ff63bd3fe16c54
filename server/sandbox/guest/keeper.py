"""The keeper: process 1 of a session, between the host and user code.

It starts the interpreters and commands, reads their output, holds the deadlines, and says how things ended. User
code runs in its children; nothing they do can stop it (the kernel drops their signals to process 1), write into
it or read its memory, and what they say over their channel decides only what they displayed.

One request at a time: `run`, `command`, `write`, `write_many`, `read`, `list`, `end`; `cancel` may come in between. Each is answered
by one `done`, after any number of `out` and `display`; a request with `last` does what `end` does before its `done`.
When the host hangs up, the session ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, NoReturn

from . import activities, children, wire
from .wire import Message

if TYPE_CHECKING:
    from .activities import Activity
    from .interpreters import Interpreter
    from .shell import Shell

_LONGEST_WAIT = 3600.0  # select refuses an infinite number of seconds


class Keeper:
    """Everything that a session's requests share. `announced`: the host waits to be told that it is `ready`."""

    def __init__(
        self,
        host: socket.socket,
        config: Message,
        shell: Shell | None,
        instructions: bytes,
        *,
        announced: bool = True,
    ) -> None:
        self.limits: dict[str, int] = config["limits"]
        self.node: str | None = config["node"]
        self.filter = instructions
        self.shell = shell
        self._announced = announced
        self.interpreters: dict[str, Interpreter] = {}
        self._lost: set[str] = set()
        self._host = host
        self._reader = wire.FrameReader()
        self._activity: Activity | None = None
        self._unsent = b""

    def run(self) -> NoReturn:
        """Serve until the host hangs up; then kill everything. Never returns."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.signal(signal.SIGCHLD, _wake_up)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        if self._announced:
            self.send({"t": "ready"})
            self._flush()
        if self.shell is not None:
            self.interpreter("python")  # most want it, and the host is not waiting yet
        with contextlib.suppress(OSError, wire.WireError):
            while self._turn(wake_read):
                pass
        children.kill_all()
        os._exit(0)

    def send(self, message: Message, body: bytes = b"") -> None:
        """One frame to the host, at the end of the turn: it need not wake up for each."""
        self._unsent += wire.encode(message, body)
        if len(self._unsent) > wire.READ_SIZE:
            self._flush()

    def _flush(self) -> None:
        frames, self._unsent = self._unsent, b""
        self._host.sendall(frames)

    def interpreter(self, language: str) -> Interpreter:
        """The running interpreter for a language; a new one if there is none."""
        if language not in self.interpreters:
            self.interpreters[language] = activities.LANGUAGES[language](self)
        return self.interpreters[language]

    def take_loss(self, language: str) -> bool:
        """Whether the interpreter for a language died since it was last used; asked once."""
        lost = language in self._lost
        self._lost.discard(language)
        return lost

    def forget_interpreters(self) -> None:
        """They are dead, all of them: the next calls get new ones."""
        for language in list(self.interpreters):
            self._forget(language)

    def end(self) -> None:
        """Kill everything in the session; it is gone when this returns."""
        children.kill_all()
        self.forget_interpreters()
        children.wait_for_all()

    def _forget(self, language: str) -> None:
        self.interpreters.pop(language).child.close()
        self._lost.add(language)

    def _turn(self, wake: socket.socket) -> bool:
        if self._unsent:
            self._flush()
        activity = self._activity
        readers: list[int | socket.socket] = [self._host, wake]
        writers: list[int | socket.socket] = []
        timeout = None
        if activity is not None:
            readers += activity.readers()
            writers = activity.writers()
            timeout = min(_LONGEST_WAIT, max(0.0, activity.deadline - time.monotonic()))
        ready, writable, _ = select.select(readers, writers, [], timeout)
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            self._reap()
        if activity is not None:
            activity.handle(ready + writable)
            if activity.finished:
                self._activity = None
        return self._host not in ready or self._receive()

    def _receive(self) -> bool:
        data = self._host.recv(wire.READ_SIZE)
        for message, body in self._reader.feed(data):
            if message["op"] == "cancel":
                if self._activity is not None and self._activity.number == message["id"]:
                    self._activity.cancel()
            else:
                self._start(message, body)
        return bool(data)

    def _start(self, message: Message, body: bytes) -> None:
        try:
            self._activity = activities.start(self, message, body)
        except children.NoProcess as error:
            self.send({"t": "done", "id": message["id"], "not_started": str(error)})
            return
        if self._activity.finished:
            self._activity = None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        if self._activity is not None and self._activity.child.pid == pid:
            self._activity.child.status = status
            return
        for language, interpreter in list(self.interpreters.items()):
            if interpreter.child.pid == pid:
                self._forget(language)


def _wake_up(_number: int, _frame: object) -> None:
    """Nothing: with a handler set, Python writes to the wake-up descriptor."""
