"""The keeper: process 1 of a session, between the host and user code.

It starts the interpreters and commands, reads their output, holds the deadlines, and says how things ended. User
code runs in its children; nothing they do can stop it (the kernel drops their signals to process 1), write into
it or read its memory, and what they say over their channel decides only what they displayed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from . import children, interpreters, wire, work
from .session import Session
from .wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from .children import Child
    from .interpreters import Interpreter
    from .shell import Shell

_LONGEST_WAIT = 3600.0  # select refuses an infinite number of seconds


class Keeper(Session):
    """A session from within its namespaces."""

    def __init__(
        self,
        host: socket.socket,
        config: Message,
        shell: Shell | None,
        instructions: bytes,
    ) -> None:
        super().__init__(host, config["limits"])
        self.node: str | None = config["node"]
        self.filter = instructions
        self.shell = shell

    def run(self) -> NoReturn:
        """Serve until the host hangs up; then kill everything. Never returns."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.signal(signal.SIGCHLD, _wake_up)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        self.send({"t": "ready"})
        self.flush()
        if self.shell is not None:
            self.interpreter("python")  # most want it, and the host is not waiting yet
        with contextlib.suppress(OSError, wire.WireError):
            while self._wait(wake_read):
                self.flush()
        children.kill_all()
        os._exit(0)

    def child(self, message: Message, body: bytes = b"") -> Child:
        """See `Session`."""
        connected = message["op"] != "command"
        return children.fork(partial(work.do, message, body), self, connected=connected)

    def release(self, child: Child) -> None:
        """See `Session`."""
        child.signal_group(signal.SIGKILL)
        child.close()

    def new_interpreter(self, language: str) -> Interpreter:
        """See `Session`."""
        return interpreters.LANGUAGES[language](self)

    def kill_all(self) -> None:
        """See `Session`."""
        children.kill_all()

    def kill_started_since(self, ticks: int, spared: int) -> bool:
        """See `Session`."""
        return children.kill_started_since(ticks, spared)

    def end(self, then: Callable[[], None]) -> None:
        """See `Session`; all is gone when this returns."""
        children.kill_all()
        self.forget_interpreters()
        children.wait_for_all()
        then()

    def _wait(self, wake: socket.socket) -> bool:
        timeout = min(_LONGEST_WAIT, max(0.0, self.deadline() - time.monotonic()))
        ready, writable, _ = select.select([wake, *self.readers()], self.writers(), [], timeout)
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            self._reap()
        return self.turn(ready + writable)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.ended(pid, status)


def _wake_up(_number: int, _frame: object) -> None:
    """Nothing: with a handler set, Python writes to the wake-up descriptor."""
