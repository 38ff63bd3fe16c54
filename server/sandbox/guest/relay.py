"""The relay: the supervisor of a machine that is reached by a command's stdin and stdout alone, as E2B's are.

It runs as root, imports what programs use, and starts a keeper for each program. The keepers' sockets are
carried over the two streams: frames come in, each with the number of its channel; they go out as lines of
base64, for what reads them takes text. It never runs user code; user code can neither signal it nor name
its streams. When stdin ends, everything ends.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import os
import platform
import select
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from typing import NoReturn

from . import children, keeper, linux, places, wire
from .wire import Message

_ENVIRONMENT = {
    "USER": "user",
    "LOGNAME": "user",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "MPLBACKEND": "agg",
    # Threads do not survive the fork that every program is.
    "OPENBLAS_NUM_THREADS": "1",
}
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
# The kernel counts processes by user; these numbers are nobody's in E2B's images.
_FIRST_USER, _USERS = 50_000, 10_000
_CHUNK = 1 << 18


def main(mark: str) -> NoReturn:
    """Serve stdin until it ends. `mark` is the line after which stdout is ours: a login shell may talk too."""
    requests, answers = os.dup(0), os.dup(1)
    with open(os.devnull) as empty:
        os.dup2(empty.fileno(), 0)
    os.dup2(2, 1)
    linux.set_dumpable(False)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    _clean_environment()
    os.write(answers, f"\n{mark}\n".encode())
    _Relay(requests, answers).run()


def _clean_environment() -> None:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # A program's `python` is the one that runs its cells.
    path = f"{os.path.dirname(sys.executable)}:{kept.get('PATH', os.defpath)}"
    os.environ.clear()
    os.environ.update({**kept, **_ENVIRONMENT, "PATH": path})


@dataclass
class _Session:
    """A keeper: our end of its socket, and the process that is gone when all of it is."""

    socket: socket.socket
    pid: int
    user: int


class _Relay:
    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._reader = wire.FrameReader()
        self._config: Message = {}
        self._place: places.InNamespaces | places.BesideOneAnother | None = None
        self._sessions: dict[int, _Session] = {}
        self._ending: list[_Session] = []
        self._started = 0

    def run(self) -> NoReturn:
        """Answer requests; never returns."""
        while True:
            channels = {one.socket: number for number, one in self._sessions.items()}
            ready = select.select([self._requests, *channels], [], [])[0]
            for each in ready:
                if isinstance(each, socket.socket):
                    self._pass_on(channels[each])
            if self._requests in ready:
                data = os.read(self._requests, _CHUNK)
                if not data:
                    os._exit(0)
                for message, body in self._reader.feed(data):
                    self._take(message, body)

    def _take(self, message: Message, body: bytes) -> None:
        session = self._sessions.get(message.get("channel", 0))
        if message["op"] == "start":
            self._start(message)
        elif message["op"] == "open":
            self._open(message["channel"])
        elif session is None:
            return  # it has ended, and the word of that is on its way
        elif message["op"] == "data":
            with contextlib.suppress(OSError):  # the keeper is gone, as reading will show
                session.socket.sendall(body)
        else:
            self._close(message["channel"])

    def _start(self, config: Message) -> None:
        """Import what programs use, and see how they can be kept apart."""
        self._config = {"limits": config["limits"], "node": None}
        for name in (f"{__package__}.cells", *config["preload"]):
            # One that is not installed, or broken, is for the program to see, not for us.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self._place = places.InNamespaces()
        problem = refusal = self._place.problem(config["limits"], _FIRST_USER)
        if problem and os.geteuid() == 0:
            self._place = places.BesideOneAnother()
            refusal = self._place.problem(config["limits"], _FIRST_USER)
        gc.collect()
        gc.freeze()  # so that collections in the forks do not copy our pages
        answer = {"isolation": self._place.name, "problem": problem, "refusal": refusal}
        self._send({"t": "up", **answer, "python": platform.python_version()})

    def _open(self, channel: int) -> None:
        assert self._place is not None
        self._reap()
        ours, theirs = socket.socketpair()
        user = self._free_user()
        try:
            pid = linux.fork_into(self._place.flags)
        except OSError as error:
            self._send({"t": "data", "channel": channel}, _failure(error))
            return
        if pid == 0:
            _become_session(theirs, self._config, self._place, user)
        theirs.close()
        self._sessions[channel] = _Session(ours, pid, user)

    def _free_user(self) -> int:
        taken = {one.user for one in (*self._sessions.values(), *self._ending)}
        while True:
            self._started += 1
            user = _FIRST_USER + self._started % _USERS
            if user not in taken:
                return user

    def _pass_on(self, channel: int) -> None:
        try:
            data = self._sessions[channel].socket.recv(_CHUNK)
        except OSError:
            data = b""
        if data:
            self._send({"t": "data", "channel": channel}, data)
        else:
            self._close(channel)
            self._send({"t": "closed", "channel": channel})

    def _close(self, channel: int) -> None:
        session = self._sessions.pop(channel)
        session.socket.close()
        self._ending.append(session)

    def _reap(self) -> None:
        """Forget the sessions that are gone. Without namespaces wait for the others, which clean up: the next
        program must not find the disk full of what the last one wrote.
        """
        wait = isinstance(self._place, places.BesideOneAnother)
        left: list[_Session] = []
        for session in self._ending:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(session.pid, 0 if wait else os.WNOHANG)[0] == 0:
                    left.append(session)
        self._ending = left

    def _send(self, message: Message, body: bytes = b"") -> None:
        told = {**message, "out_of_memory_kills": _out_of_memory_kills()}
        rest = memoryview(base64.b64encode(wire.encode(told, body)) + b"\n")
        while rest:
            rest = rest[os.write(self._answers, rest) :]


def _become_session(
    connection: socket.socket,
    config: Message,
    place: places.InNamespaces | places.BesideOneAnother,
    user: int,
) -> NoReturn:
    """As the first process of a session: make its place and keep it. Never returns."""
    linux.close_between(3, connection.fileno())
    linux.close_between(connection.fileno() + 1)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        place.enter(config["limits"], user)
        keeper.Keeper(connection, config, None, place.filter).run()
    except BaseException as error:  # noqa: BLE001 - there is nobody above us in this process
        with contextlib.suppress(OSError):
            connection.sendall(_failure(error))
    with contextlib.suppress(Exception):
        children.kill_all()
    os._exit(1)


def _failure(error: BaseException) -> bytes:
    detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return wire.encode({"t": "failed", "error": str(error), "detail": detail})


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since the machine started."""
    with contextlib.suppress(OSError), open("/proc/vmstat", "rb") as file:
        for line in file:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0
