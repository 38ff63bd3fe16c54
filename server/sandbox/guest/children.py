"""The processes of a session that are not trusted, seen from the keeper."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from . import identity, linux, namespaces

if TYPE_CHECKING:
    from .keeper import Keeper

_READ_SIZE = 1 << 16
_KILL_ROUNDS = 200
_DYING_SECONDS = 2.0
_PAUSE_SECONDS = 0.001
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Child:
    """A process with its output in pipes and, if it is connected, a socket to us.

    Attributes: `pid`, 0 while it is yet to be forked, and then nothing can be sent to it; `outputs`, a map from file
    descriptor to `stdout` or `stderr`; `status`, what waitpid said, None while it runs; `unsent`, what is to be
    written to its socket.
    """

    def __init__(self, pid: int, outputs: dict[int, str], connection: socket.socket | None) -> None:
        self.pid = pid
        self.status: int | None = None
        self.outputs = outputs
        self.unsent = memoryview(b"")
        self._connection = connection
        for descriptor in outputs:
            os.set_blocking(descriptor, False)
        if connection is not None:
            connection.setblocking(False)

    @property
    def connection(self) -> socket.socket:
        """Our end of the socket. Only for a child that is connected."""
        assert self._connection is not None
        return self._connection

    def push(self) -> None:
        """Send what there is room for."""
        if not self.unsent:
            return
        try:
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.unsent = memoryview(b"")  # it is dead; reading will show how

    def read_output(self, sink: Callable[[str, bytes], None]) -> None:
        """Pass everything that is there now to `sink(stream, bytes)`; a few MiB at the most."""
        for descriptor in list(self.outputs):
            for _ in range(64):
                try:
                    data = os.read(descriptor, _READ_SIZE)
                except BlockingIOError:
                    break
                if not data:
                    os.close(descriptor)
                    del self.outputs[descriptor]
                    break
                sink(self.outputs[descriptor], data)

    def drain(self, sink: Callable[[str, bytes], None]) -> None:
        """Read what is there now, and no more: something else may go on writing for ever."""
        for descriptor, stream in self.outputs.items():
            left = linux.bytes_to_read(descriptor)
            while left > 0:
                data = os.read(descriptor, min(left, _READ_SIZE))
                left -= len(data)
                sink(stream, data)

    def signal_group(self, number: int) -> None:
        """Send a signal to the child and what it started in its own process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def signal(self, number: int) -> None:
        """Send a signal to the child alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def is_ignoring(self, number: int) -> bool:
        """Whether a signal would be lost on it now."""
        try:
            status = _status(str(self.pid))
        except OSError:
            return False
        return bool(int(status[b"SigIgn"], 16) & (1 << (number - 1)))

    def close(self) -> None:
        """Close our ends."""
        for descriptor in self.outputs:
            os.close(descriptor)
        self.outputs = {}
        if self._connection is not None:
            self._connection.close()


class NoProcess(Exception):
    """The machine, or the jail that other sessions share with us, has no process left."""


def fork(
    main: Callable[[Any], object],
    keeper: Keeper,
    *,
    connected: bool,
    address_space: bool = True,
    interruptible: bool = True,
) -> Child:
    """Fork; the child runs `main(connection)` as user code and never returns from it.

    `connection` is its end of the socket, None where `connected` is false. Without `interruptible`, SIGINT does
    nothing until `main` says otherwise.
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    ours, theirs = socket.socketpair() if connected else (None, None)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = _fork(keeper)
    if pid == 0:
        with never_returning():
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            keep_only(out_write, err_write, theirs)
            namespaces.StepDown(keeper.limits, keeper.filter, address_space=address_space).take()
            namespaces.forget_signals(interruptible=interruptible)
            main(theirs)
    os.close(out_write)
    os.close(err_write)
    if theirs is not None:
        theirs.close()
    return Child(pid, {out_read: "stdout", err_read: "stderr"}, ours)


def keep_only(out: int, error: int, connection: socket.socket | None) -> None:
    """Close every descriptor but 0 and these, the first two of which become 1 and 2."""
    os.dup2(out, 1)
    os.dup2(error, 2)
    keep = connection.fileno() if connection is not None else 2
    linux.close_between(3, keep)
    linux.close_between(keep + 1)


def _fork(keeper: Keeper) -> int:
    try:
        return os.fork()
    except OSError:
        # Most likely user code has all the processes that there may be. It is worth less than the session.
        kill_all()
        wait_for_all()
        keeper.forget_interpreters()
    try:
        return os.fork()
    except OSError as error:
        raise NoProcess(error.strerror) from error


@contextlib.contextmanager
def never_returning() -> Generator[None, None, None]:
    """Keeps an error in a forked child from unwinding into its parent's code."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - there is nobody above us in this process
        leave(error)
    else:
        os._exit(0)


def leave(error: BaseException) -> NoReturn:
    """End a forked child that was ended by this error."""
    if isinstance(error, SystemExit):
        os._exit(error.code if isinstance(error.code, int) else 1)
    with contextlib.suppress(BaseException):
        os.write(2, f"could not start: {error!r}\n".encode())
    os._exit(70)  # EX_SOFTWARE


def now_in_ticks() -> int:
    """The time as process start times have it: clock ticks since boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS_A_SECOND)


def kill_all() -> None:
    """Kill every process of the session but the keeper, all at once."""
    if not identity.in_pid_namespace:
        _kill_all_of(identity.user)
    elif os.getpid() != 1:
        raise RuntimeError("not in a pid namespace of our own: this would kill strangers")
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)


def _kill_all_of(user: int | None) -> None:
    if not user:
        raise RuntimeError("the session has no user of its own: this would kill strangers")
    while True:
        pid = os.fork()
        if pid == 0:
            # It may signal that user's processes only, and -1 leaves itself out.
            with contextlib.suppress(BaseException):
                linux.become_user(user)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
                continue  # one of those that it was to kill was faster
        return


def wait_for_all() -> None:
    """Return when no process of the session but the keeper is left; orphans are its children too."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def kill_started_since(ticks: int, spared: int) -> bool:
    """Kill every process that started at `ticks` or later but `spared`, and what they start meanwhile.

    False if one multiplied faster than it was killed. Then everything was killed, since only the signal
    to all at once is atomic.
    """
    doomed: set[int] = set()
    rounds, until = 0, time.monotonic() + _DYING_SECONDS
    while rounds < _KILL_ROUNDS:
        strangers = {pid for pid in _started_since(ticks) if pid != spared}
        fresh = strangers - doomed
        if not strangers or (not fresh and time.monotonic() > until):
            return True
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        doomed |= fresh
        if fresh:
            rounds += 1
        else:
            # With SIGKILL pending they start nothing, but may take a while to go.
            time.sleep(_PAUSE_SECONDS)
    kill_all()
    return False


def _started_since(ticks: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                # proc(5): state is the first field after the command's name, starttime the 20th.
                fields = file.read().rpartition(b")")[2].split()
                if fields[0] in (b"Z", b"X") or int(fields[19]) < ticks:
                    continue
                if identity.in_pid_namespace or _runs_as(name, identity.user):
                    yield int(name)


def _runs_as(name: str, user: int | None) -> bool:
    # Not the owner of its directory, which is root's for a process that may not be inspected.
    return int(_status(name)[b"Uid"].split()[0]) == user


def _status(name: str) -> dict[bytes, bytes]:
    with open(f"/proc/{name}/status", "rb") as file:
        return {key: value for key, _, value in (line.partition(b":") for line in file)}
