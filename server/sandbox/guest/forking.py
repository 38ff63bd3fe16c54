"""The process that programs are forks of: it imports what they use, and then does nothing but fork.

A page that it or a fork writes to is copied, which is most of what a program costs. So the keeper (see `programs`), which
asks it on a socket that keeps message boundaries, does all else, and what forks need is made here ahead where it can be.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
from typing import NoReturn

from . import caches, cells, children, linux, namespaces, seccomp, wire, work
from .wire import Message

REQUEST = struct.Struct("!I?")  # its number, and whether the fork is to say when it is up
# What has happened to which request, or ENDED: to which process; and the process, or how it ended. An error follows.
ANSWER = struct.Struct("!cIi")
FORKED, NOT_FORKED, UP, FAILED, ENDED, WARM = b"f", b"n", b"u", b"x", b"e", b"w"
MOST_BYTES = 4096
_DESCRIPTORS = struct.Struct("4i")
_CONTROL_BYTES = socket.CMSG_SPACE(_DESCRIPTORS.size)


def import_and_serve(keeper: socket.socket, config: Message) -> NoReturn:
    """`serve`, once everything is imported that programs are to find."""
    namespaces.forget_signals()
    for name in config["preload"]:
        # One that is not installed, or broken, is for the user to see, not for us.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    caches.keep()
    forking = _Forking(keeper, config["limits"])
    keeper.send(ANSWER.pack(WARM, 0, 0))
    forking.run()


def serve(keeper: socket.socket, config: Message) -> NoReturn:
    """Fork for the keeper until it asks for no more and every fork has ended."""
    namespaces.forget_signals()
    _Forking(keeper, config["limits"]).run()


class _Forking:
    def __init__(self, keeper: socket.socket, limits: dict[str, int]) -> None:
        self._keeper = keeper
        self._running: dict[int, int] = {}  # processes by what tells of their end
        self._namespaces = namespaces.ForPrograms(limits)
        self._step_down = namespaces.StepDown(limits, seccomp.build(beneath=True))
        self._connection = socket.socketpair()[0]  # in each fork, its own is put in this place
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self._runner = _prepare_cells()

    def run(self) -> NoReturn:
        """Answer the keeper; never returns."""
        gc.collect()
        gc.freeze()  # so that collections in the forks do not copy our pages
        asks = True
        while asks or self._running:
            waits_for = [*([self._keeper] if asks else []), *self._running]
            for each in select.select(waits_for, [], [])[0]:
                if isinstance(each, int):
                    self._reap(each)
                else:
                    asks = self._answer()
        os._exit(0)

    def _reap(self, ended: int) -> None:
        pid = self._running.pop(ended)
        os.close(ended)
        self._keeper.send(ANSWER.pack(ENDED, pid, os.waitpid(pid, 0)[1]))

    def _answer(self) -> bool:
        # Python's own recv_fds would load a library.
        data, control, _, _ = self._keeper.recvmsg(MOST_BYTES, _CONTROL_BYTES)
        if not data:
            return False
        descriptors = [*_DESCRIPTORS.unpack(control[0][2])]
        number, announced = REQUEST.unpack(data)
        try:
            linux.set_namespace(descriptors[0], linux.CLONE_NEWPID)
            pid = os.fork()
        except OSError as error:
            self._keeper.send(ANSWER.pack(NOT_FORKED, number, 0) + str(error).encode())
        else:
            if pid == 0:
                # Not a context manager, which would double what a fork copies until here.
                try:
                    self._become(number, descriptors, announced=announced)
                except BaseException as error:  # noqa: BLE001 - there is nobody above us in this process
                    children.leave(error)
                os._exit(0)
            self._running[linux.open_process(pid)] = pid
            self._keeper.send(ANSWER.pack(FORKED, number, pid))
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _become(self, number: int, descriptors: list[int], *, announced: bool) -> None:
        _, out, error, ours = descriptors
        try:
            self._namespaces.furnish()
            if announced:
                self._keeper.send(ANSWER.pack(UP, number, 0))
        except BaseException as failure:
            # Only what is no program yet can say this: the keeper's socket is closed before.
            reason = str(failure) or repr(failure)
            self._keeper.send(ANSWER.pack(FAILED, number, 0) + reason.encode())
            raise
        os.dup2(ours, self._connection.fileno(), inheritable=False)
        children.keep_only(out, error, self._connection)
        self._step_down.take()
        self._work()

    def _work(self) -> None:
        """As a program: do what is asked for; a command or cells come last."""
        reader = wire.FrameReader()
        while data := self._connection.recv(wire.READ_SIZE):
            for message, body in reader.feed(data):
                if "op" in message:
                    work.do(message, body, self._connection)
                else:
                    cells.serve(self._connection, self._runner, iter([(message, body)]))


def _prepare_cells() -> cells.Runner:
    """What runs cells in a fork, made for the outputs that a fork has."""
    kept = os.dup(1), os.dup(2)
    read, write = os.pipe()
    os.dup2(write, 1)
    os.dup2(write, 2)
    runner = cells.prepare()
    runner.rehearse()
    os.dup2(kept[0], 1)
    os.dup2(kept[1], 2)
    for descriptor in (read, write, *kept):
        os.close(descriptor)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)  # as Python does
    return runner
