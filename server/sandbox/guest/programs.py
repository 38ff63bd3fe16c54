"""The keeper of programs: one process for all programs of a jail, between the host and user code.

The host asks it on a socket that keeps message boundaries: `program` carries the program's own socket as a descriptor, and
so does `program at once`, which is not answered by `ready`. What is asked for on that socket, see `session`.

It holds the output and the deadlines of programs and ends them, but forks none, so its memory is never copied, and it
imports nothing that is a package's: that is for `forking`. For each program it makes a pid namespace whose process 1 only sleeps;
once that is killed, the kernel kills all others in there, and is done with them before process 1 counts as dead.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from . import caches, children, forking, linux, wire
from .children import Child
from .program import Place, Program
from .wire import Message

_MESSAGE_SIZE = 1 << 16
_SPARES = 2
_LONGEST_WAIT = 3600.0  # poll refuses an infinite number of seconds

_Start = Callable[[socket.socket, Message], NoReturn]


def main(control: socket.socket, config: Message) -> NoReturn:
    """Serve the control socket until the host hangs up, as a process that everything else here ends with."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)  # processes 1 do likewise: their orphans are reaped
    caches.find_fonts()
    keeper = _Keeper(control, config)
    while True:
        keeper.turn()


class _Forker:
    """A process of `forking`, seen from here."""

    def __init__(self, start: _Start, config: Message) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            with children.never_returning():
                linux.close_between(3, theirs.fileno())
                linux.close_between(theirs.fileno() + 1)
                start(theirs, config)
        theirs.close()
        self._count = 0
        self._asked: dict[int, Place] = {}  # by the number of the request
        self._running: dict[int, int] = {}  # requests by process

    def ask(self, place: Place, descriptors: list[int], *, announced: bool) -> None:
        """Have a place's process forked. The first descriptor is its namespace, the others are for it."""
        self._count += 1
        self._asked[self._count] = place
        request = forking.REQUEST.pack(self._count, announced)
        socket.send_fds(self.socket, [request], descriptors)

    def hear(self) -> tuple[bytes, Place | None, str]:
        """What has happened, and where, and the error if it is one; nothing if the process is gone."""
        data = self.socket.recv(forking.MOST_BYTES)
        if not data:
            return b"", None, ""
        kind, number, value = forking.ANSWER.unpack_from(data)
        if kind == forking.WARM:
            return kind, None, ""
        if kind == forking.ENDED:
            place = self._asked.pop(self._running.pop(number))
            place.child.status = value
            return kind, place, ""
        place = self._asked[number]
        if kind == forking.FORKED:
            self._running[value] = number
            place.child.pid = value
        elif kind == forking.NOT_FORKED:
            del self._asked[number]
        return kind, place, data[forking.ANSWER.size :].decode(errors="replace")

    def retire(self) -> None:
        """Ask for no more; it ends with its last fork."""
        self.socket.shutdown(socket.SHUT_WR)


class _Keeper:
    def __init__(self, control: socket.socket, config: Message) -> None:
        self._control = control
        self._limits: dict[str, int] = config["limits"]
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._programs: list[Program] = []
        self._spares: list[Place] = []
        self._forker = _Forker(forking.serve, config)
        # The first programs should not wait for what others want imported.
        self._warming: _Forker | None = _Forker(forking.import_and_serve, config)
        self._retired: list[_Forker] = []

    def turn(self) -> None:
        """Wait until something is due, and do it."""
        ready = self._wait()
        changed = {self._hear(each) for each in self._forkers() if each.socket in ready}
        now = time.monotonic()
        for program in list(self._programs):
            waits_for = (*program.readers(), *program.writers())
            if program in changed or program.deadline() <= now or not ready.isdisjoint(waits_for):
                self._turn(program, ready)
        if self._control in ready:
            self._accept()

    def _forkers(self) -> list[_Forker]:
        warming = [self._warming] if self._warming is not None else []
        return [self._forker, *warming, *self._retired]

    def _wait(self) -> set[int | socket.socket]:
        wanted: dict[int | socket.socket, int] = {self._control: select.POLLIN}
        deadline = time.monotonic() + _LONGEST_WAIT
        for forker in self._forkers():
            wanted[forker.socket] = select.POLLIN
        for program in self._programs:
            deadline = min(deadline, program.deadline())
            wanted.update(dict.fromkeys(program.readers(), select.POLLIN))
            for each in program.writers():
                wanted[each] = wanted.get(each, 0) | select.POLLOUT
        poll, by_number = select.poll(), {}
        for each, events in wanted.items():
            poll.register(each, events)
            by_number[each if isinstance(each, int) else each.fileno()] = each
        seconds = max(0.0, deadline - time.monotonic())
        return {by_number[number] for number, _ in poll.poll(math.ceil(seconds * 1000))}

    def _turn(self, program: Program, ready: set[int | socket.socket]) -> None:
        try:
            goes_on = program.turn(ready)
            program.flush()
        except (OSError, wire.WireError):
            goes_on = False
        if not goes_on:
            self._programs.remove(program)
            program.close()

    def _hear(self, forker: _Forker) -> Program | None:
        kind, place, error = forker.hear()
        if kind == forking.WARM:
            self._switch_to(forker)
        elif not kind:
            self._lose(forker)
        if place is None:
            return None
        if place in self._spares and kind != forking.FORKED:
            self._spares.remove(place)
            place.close()
        program = place.program
        if place.killed:
            if kind == forking.NOT_FORKED:
                place.child.status = signal.SIGKILL  # it would have ended so a moment later
        elif program is not None and kind == forking.UP:
            program.send({"t": "ready"})
        elif program is not None and error:
            program.send({"t": "failed", "error": error, "detail": error})
        return program

    def _switch_to(self, forker: _Forker) -> None:
        self._retired.append(self._forker)
        self._forker.retire()
        self._forker, self._warming = forker, None
        while self._spares:
            self._spares.pop().close()
        with contextlib.suppress(OSError):
            self._control.send(b"warm")

    def _lose(self, forker: _Forker) -> None:
        if forker is self._forker:
            os._exit(1)  # what has killed it is not for us to mend: the host starts another jail
        forker.socket.close()
        if forker is self._warming:
            self._warming = None  # it died while it imported: go on without it
        else:
            self._retired.remove(forker)

    def _accept(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_SIZE, 1)
        if not data:
            os._exit(0)
        host = socket.socket(fileno=descriptors[0])
        announced = data == b"program"
        try:
            use_spare = self._spares and not announced
            place = self._spares.pop(0) if use_spare else self._start(announced=announced)
        except OSError as error:
            with contextlib.suppress(OSError):
                host.sendall(wire.encode({"t": "failed", "error": str(error), "detail": ""}))
            host.close()
            return
        self._programs.append(Program(host, self._limits, place))
        if not announced:
            self._refill()

    def _refill(self) -> None:
        """Who runs one program most likely runs more, and can do other things while their processes start."""
        with contextlib.suppress(
            OSError
        ):  # then the next program has to wait, or is told why it cannot
            while len(self._spares) < _SPARES:
                self._spares.append(self._start(announced=False))

    def _start(self, *, announced: bool) -> Place:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            init, namespace = self._make_namespace()
            theirs.callback(os.close, namespace)
            ours.callback(os.close, init)
            ours.callback(linux.kill_process, init)
            outputs: dict[int, str] = {}
            ends: list[int] = []
            for name in ("stdout", "stderr"):
                read, write = os.pipe()
                outputs[read] = name
                ends.append(write)
                ours.callback(os.close, read)
                theirs.callback(os.close, write)
            connection, their_connection = socket.socketpair()
            ours.callback(connection.close)
            theirs.callback(their_connection.close)
            place = Place(init, Child(0, outputs, connection))
            descriptors = [namespace, *ends, their_connection.fileno()]
            self._forker.ask(place, descriptors, announced=announced)
            ours.pop_all()
        return place

    def _make_namespace(self) -> tuple[int, int]:
        """A pid namespace with nothing in it but its process 1: what kills and tells of that, and itself."""
        linux.unshare(linux.CLONE_NEWPID)
        try:
            pid = linux.start_sleeper()
            try:
                init = linux.open_process(pid)
                return init, os.open("/proc/self/ns/pid_for_children", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                os.kill(pid, signal.SIGKILL)
                raise
        finally:
            linux.set_namespace(self._own, linux.CLONE_NEWPID)
