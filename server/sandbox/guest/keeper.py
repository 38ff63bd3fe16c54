"""The keeper: process 1 of a session, between the host and user code.

It starts the interpreters and commands, reads their output, holds the deadlines, and says how things ended. User
code runs in its children; nothing they do can stop it (the kernel drops their signals to process 1), write into
it or read its memory, and what they say over their channel decides only what they displayed.

One request at a time: `run`, `command`, `write`, `write_many`, `read`, `list`, `end`; `cancel` may come in between. Each is answered
by one `done`, after any number of `out` and `display`. When the host hangs up, the session ends.
"""

import contextlib
import os
import select
import signal
import socket
import time

from . import activities, children, wire

_LONGEST_WAIT = 3600.0  # select refuses an infinite number of seconds


class Keeper:
    """Everything that a session's requests share."""

    def __init__(self, host, config, shell, instructions):
        self.limits = config["limits"]
        self.node = config["node"]
        self.filter = instructions
        self.shell = shell
        self.interpreters = {}
        self._lost = set()
        self._host = host
        self._reader = wire.FrameReader()
        self._activity = None

    def run(self):
        """Serve until the host hangs up; then kill everything. Never returns."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        self.send({"t": "ready"})
        # Most want it, and the host is not waiting yet.
        self.interpreter("python" if self.shell is not None else "cells")
        with contextlib.suppress(OSError, wire.WireError):
            while self._turn(wake_read):
                pass
        children.kill_all()
        os._exit(0)

    def send(self, message, body=b""):
        """One frame to the host."""
        self._host.sendall(wire.encode(message, body))

    def interpreter(self, language):
        """The running interpreter for a language; a new one if there is none."""
        if language not in self.interpreters:
            self.interpreters[language] = activities.LANGUAGES[language](self)
        return self.interpreters[language]

    def take_loss(self, language):
        """Whether the interpreter for a language died since it was last used; asked once."""
        lost = language in self._lost
        self._lost.discard(language)
        return lost

    def forget_interpreters(self):
        """They are dead, all of them: the next calls get new ones."""
        for language in list(self.interpreters):
            self._forget(language)

    def _forget(self, language):
        self.interpreters.pop(language).child.close()
        self._lost.add(language)

    def _turn(self, wake):
        activity = self._activity
        readers, writers, timeout = [self._host, wake], [], None
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

    def _receive(self):
        data = self._host.recv(1 << 18)
        for message, body in self._reader.feed(data):
            if message["op"] == "cancel":
                if self._activity is not None and self._activity.number == message["id"]:
                    self._activity.cancel()
            else:
                self._activity = activities.start(self, message, body)
                if self._activity.finished:
                    self._activity = None
        return bool(data)

    def _reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, status)

    def _ended(self, pid, status):
        if self._activity is not None and self._activity.child.pid == pid:
            self._activity.child.status = status
            return
        for language, interpreter in list(self.interpreters.items()):
            if interpreter.child.pid == pid:
                self._forget(language)
