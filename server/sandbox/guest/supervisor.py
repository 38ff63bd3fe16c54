"""The supervisor: the one trusted process of a jail, from which every session is forked.

It imports what sessions use, then answers the host on a socket that keeps message boundaries: `session` carries its own
socket as a descriptor. It never runs user code, holds no user data, and lives in a pid namespace that sessions cannot
see. In a jail for programs, `programs` is in its place.

The first sessions should not wait for numpy and pandas, so two processes take turns: the one that started serves
at once with IPython alone, while its fork imports the rest and then takes over.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from . import caches, children, keeper, linux, namespaces, seccomp, wire
from .wire import Message

if TYPE_CHECKING:
    from .shell import Shell

_MESSAGE_SIZE = 1 << 16


def main(descriptor: int) -> NoReturn:
    """Serve the control socket with number `descriptor` until the host hangs up."""
    control = socket.socket(fileno=descriptor)
    config = json.loads(control.recv(_MESSAGE_SIZE))
    linux.set_dumpable(False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end are nobody's business here
    caches.seed()
    if not config["kernel"]:
        _keep_programs(control, config)
    supervisor = _Supervisor(control, config, _make_shell())
    supervisor.hand_over_when_warm()
    supervisor.serve()


def _keep_programs(control: socket.socket, config: Message) -> NoReturn:
    from . import programs

    user, group = os.getuid(), os.getgid()
    if linux.fork_into(linux.CLONE_NEWUSER | linux.CLONE_NEWPID) != 0:
        control.close()
        _wait_for_children()
    with children.never_returning():
        # In a user namespace of its own it may make the others, and end them with itself.
        namespaces.map_ids(user, group)
        linux.set_dumpable(False)
        programs.main(control, config)
    raise AssertionError


def _make_shell() -> Shell:
    from . import shell

    return shell.make_shell()


class _Supervisor:
    def __init__(self, control: socket.socket, config: Message, shell: Shell) -> None:
        self._control = control
        self._config = config
        self._shell = shell
        self._filter = seccomp.build(beneath=True)
        self._warm: int | None = None  # says when our successor is ready

    def hand_over_when_warm(self) -> None:
        """Fork the process that imports the rest; it serves from then on and this one waits for it."""
        read, write = os.pipe()
        if os.fork() != 0:
            os.close(write)
            self._warm = read
            return
        os.close(read)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for name in self._config["preload"]:
            # One that is not installed, or broken, is for the user to see, not for us.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        caches.keep()
        caches.read()
        os.write(write, b"1")
        os.close(write)
        with contextlib.suppress(OSError):
            self._control.send(b"warm")  # so that the host replaces what it has kept ready
        self.serve()

    def serve(self) -> NoReturn:
        """Answer requests; never returns."""
        gc.collect()
        gc.freeze()  # so that collections in the forks do not copy our pages
        while True:
            ready = select.select([self._control, *([self._warm] if self._warm else [])], [], [])[0]
            if self._warm is not None and self._warm in ready:
                if os.read(self._warm, 1):
                    _wait_for_children()
                os.close(self._warm)  # it died while it imported: go on without it
                self._warm = None
            else:
                self._answer()

    def _answer(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._control, _MESSAGE_SIZE, 1, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return  # the other of the two processes was faster
        if not data:
            os._exit(0)
        connection = socket.socket(fileno=descriptors[0])
        user, group = os.getuid(), os.getgid()
        try:
            pid = linux.fork_into(namespaces.NEW)
        except OSError as error:
            _report(connection, error)
        else:
            if pid == 0:
                session = keeper.Keeper(connection, self._config, self._shell, self._filter)
                _become_session(session, connection, self._config["limits"], (user, group))
        connection.close()


def _wait_for_children() -> NoReturn:
    """Our successor serves. This process stays: the jail lives as long as it does. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        os._exit(0)


def _become_session(
    session: keeper.Keeper,
    connection: socket.socket,
    limits: dict[str, int],
    ids: tuple[int, int],
) -> NoReturn:
    """As process 1 of a session's namespaces: furnish them and keep the session. Never returns."""
    linux.close_between(3, connection.fileno())
    linux.close_between(connection.fileno() + 1)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        namespaces.furnish(limits, *ids)
        session.run()
    except BaseException as error:  # noqa: BLE001 - there is nobody above us in this process
        _report(connection, error)
    os._exit(1)


def _report(connection: socket.socket, error: BaseException) -> None:
    detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    message = {"t": "failed", "error": str(error), "detail": detail}
    with contextlib.suppress(OSError):
        connection.sendall(wire.encode(message))


if __name__ == "__main__":
    main(int(sys.argv[1]))
