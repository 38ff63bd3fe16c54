"""The Python interpreter of a session: IPython's shell (`shell`) at the end of a socket.

The shell is made once, in the supervisor, and every session runs a fork of it. User code runs in this
process, so whatever this process says is the user's word and nobody's verdict: the keeper trusts it only for
what the code displayed and raised, and decides by itself how it ended.
"""

# IPython annotates only some of its parameters.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import sys
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from . import randomness, rich, tracebacks, wire
from .wire import Message

if TYPE_CHECKING:
    import socket

    from .shell import Shell

_LARGEST_DISPLAY = 16 * 1024**2


class _Channel:
    """The kernel's end of the socket to the keeper. `token` proves which request is answered."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = wire.FrameReader()
        self._frames: list[tuple[Message, bytes]] = []
        self._held = b""
        self.token = ""

    def receive(self) -> tuple[Message, bytes]:
        while not self._frames:
            data = self._connection.recv(wire.READ_SIZE)
            if not data:
                os._exit(0)
            self._frames = self._reader.feed(data)
        return self._frames.pop(0)

    def send(self, message: Message) -> None:
        self._send(wire.encode(dict(message, token=self.token)))

    def send_display(self, data: dict[str, Any], is_main: bool) -> None:
        _flush()
        message: Message = {"t": "display", "main": is_main, "token": self.token}
        frame = wire.encode(dict(message, data=rich.jsonable(data)))
        if len(frame) > _LARGEST_DISPLAY:
            note = f"[a display of {len(frame):,} bytes was not kept; the most is {_LARGEST_DISPLAY:,}]"
            frame = wire.encode(dict(message, data={"text/plain": note}))
        if is_main:
            self._held += frame  # the end of the cell follows at once, and wakes the keeper anyway
        else:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        # A signal here would cut a frame in two.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            held, self._held = self._held, b""
            self._connection.sendall(held + frame)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def serve(connection: socket.socket, shell: Shell) -> NoReturn:
    """Answer the keeper's requests until it hangs up. Never returns."""
    channel = _Channel(connection)
    shell.show = channel.send_display
    ourselves = os.getpid()
    _become_a_session(shell)
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        message, code = channel.receive()
        channel.token = message["token"]
        name = tracebacks.cell_name(message["cell"])
        _mend_streams()
        answer: Message = {"t": "done"}
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            answer["error"] = _run(shell, code.decode(), message)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt as interrupt:
            # It arrived between two lines of ours, after the user's last.
            answer["error"] = tracebacks.describe(interrupt, name)
        except BaseException as error:  # noqa: BLE001 - a trace function or a patched builtin of the user's
            answer["error"] = tracebacks.describe(error, name)
            answer["broken"] = True  # the next cell needs an interpreter that works
        _flush()
        if os.getpid() != ourselves:
            os._exit(0)  # a fork that the user's code let run out of its cell
        channel.send(answer)


def _become_a_session(shell: Shell) -> None:
    randomness.reseed()
    builtins.input = _no_input
    sys.path.insert(0, "")
    # The first cell touches two thousand pages that the fork shares; better now than when it is waited for.
    shell.run_cell("None", silent=True)
    shell.execution_count = 1


def _no_input(prompt: object = "") -> NoReturn:
    """input() cannot be answered here."""
    raise EOFError("input() has nobody to ask: this code runs without a terminal")


def _run(shell: Shell, code: str, message: Message) -> Message | None:
    compiler: Any = shell.compile
    compiler.cell = message["cell"]
    shell.current_code = code
    with _environment(message["env"]):
        shell.shown = shell.failed = None
        result = shell.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec or shell.shown or shell.failed
        shell.shown = shell.failed = None
        if error is None:
            return None
        return tracebacks.describe(error, tracebacks.cell_name(message["cell"]))


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None, None, None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _mend_streams() -> None:
    for name in ("stdout", "stderr"):
        # IPython itself cannot go on without them.
        if getattr(getattr(sys, name), "closed", True):
            descriptor = {"stdout": 1, "stderr": 2}[name]
            fresh = open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, fresh)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # The user may have closed or replaced it, and a full pipe is no reason to fail.
        with contextlib.suppress(Exception):
            stream.flush()
