"""The supervisor: the one trusted process of a jail, from which every session is forked.

It imports what sessions use, then answers the host on a socket that keeps message boundaries: `session` or `program`
carries its own socket as a descriptor, and so does `program at once`, which is not answered by `ready`. It never runs user code, holds no user data, and lives in a pid
namespace that sessions cannot see.

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

from . import keeper, linux, namespaces, seccomp, wire
from .wire import Message

if TYPE_CHECKING:
    from .shell import Shell

_MESSAGE_SIZE = 1 << 16
_LEAST_URGENT = 19


def main(descriptor: int) -> NoReturn:
    """Serve the control socket with number `descriptor` until the host hangs up."""
    control = socket.socket(fileno=descriptor)
    config = json.loads(control.recv(_MESSAGE_SIZE))
    linux.set_dumpable(False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end are nobody's business here
    namespaces.read_caches()
    namespaces.seed_caches()
    shell = None
    if config["kernel"]:
        shell = _make_shell()
    else:
        importlib.import_module(f"{__package__}.cells")  # so that no program has to
    supervisor = _Supervisor(control, config, shell)
    supervisor.hand_over_when_warm()
    supervisor.serve()


def _make_shell() -> Shell:
    from . import shell

    return shell.make_shell()


def _keep_caches() -> None:
    source = os.environ.get("MPLCONFIGDIR", "")
    kept = f"{namespaces.SHARED_CACHE}/matplotlib"
    if not os.path.isdir(source) or os.path.isdir(kept):
        return
    import shutil

    try:
        fresh = f"{kept}.{os.getpid()}"
        shutil.copytree(source, fresh)
        os.rename(fresh, kept)
    except OSError:
        return  # another jail was first, or the disk is full: it is only a cache


def _find_fonts() -> None:
    """Have matplotlib, where it is installed, look for fonts once in place of each program that plots."""
    if os.path.isdir(f"{namespaces.SHARED_CACHE}/matplotlib") or os.fork() != 0:
        return
    with contextlib.suppress(BaseException):  # it is for the user to see what is broken
        os.nice(_LEAST_URGENT)
        importlib.import_module("matplotlib.font_manager")
        _keep_caches()
    os._exit(0)


class _Supervisor:
    def __init__(self, control: socket.socket, config: Message, shell: Shell | None) -> None:
        self._control = control
        self._config = config
        self._shell = shell
        self._filter = seccomp.build()
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
        if self._shell is None:
            _find_fonts()
        for name in self._config["preload"]:
            # One that is not installed, or broken, is for the user to see, not for us.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        _keep_caches()
        namespaces.read_caches()
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
                # The first request of a program may be on its way already.
                announced = data != b"program at once"
                shell = self._shell if data == b"session" else None
                session = keeper.Keeper(
                    connection, self._config, shell, self._filter, announced=announced
                )
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
