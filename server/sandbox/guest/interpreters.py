"""The languages of a session, each behind the same three methods.

An interpreter is a `Child` that lives from call to call. `ask` sends it a request, `answers` reads what it
says: `display` messages and at most one `done`, which counts only with the token of the request.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from . import children, wire
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .children import Child
    from .keeper import Keeper

_GUEST = os.path.dirname(os.path.abspath(__file__))
_BASH = "/bin/bash"
_ANSWER_LIMIT = 32 * 1024**2


class Forged(Exception):
    """Something on the interpreter's channel was not the answer to our request."""


def _handle_signals_as_python_does() -> None:
    """A closed pipe and a file that is too large are exceptions there, and not the end."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)


class Interpreter(Protocol):
    """What all have in common. `soft_interrupt`: its variables survive a SIGINT."""

    name: str
    soft_interrupt: bool
    child: Child

    def ask(self, code: str, message: Message) -> bytes:
        """The bytes of a request to run `code`."""
        ...

    def answers(self, data: bytes) -> list[Message]:
        """Messages in what was received. Raises Forged."""
        ...


class Python:
    """A fork of the warm shell."""

    name = "python"
    soft_interrupt = True

    def __init__(self, child: Child) -> None:
        self.child = child
        self._reader = wire.FrameReader(_ANSWER_LIMIT)
        self._cell = 0
        self.token = ""

    @classmethod
    def start(cls, keeper: Keeper) -> Python:
        """One in a new process. Raises NoProcess."""
        # It gets ready to run code before there is any that could be interrupted.
        main = partial(cls._main, keeper)
        return cls(children.fork(main, keeper, connected=True, interruptible=False))

    @staticmethod
    def _main(keeper: Keeper, connection: socket.socket) -> None:
        from . import kernel

        assert keeper.shell is not None
        _handle_signals_as_python_does()
        kernel.serve(connection, keeper.shell)

    def ask(self, code: str, message: Message) -> bytes:
        """The bytes of a request to run `code`."""
        self._cell += 1
        self.token = os.urandom(16).hex()
        request = {"token": self.token, "env": message["env"], "cell": self._cell}
        return wire.encode(request, code.encode())

    def answers(self, data: bytes) -> list[Message]:
        """Messages in what was received. Raises Forged."""
        try:
            messages = [message for message, _ in self._reader.feed(data)]
        except wire.WireError as error:
            raise Forged(str(error)) from error
        for message in messages:
            if message.get("token") != self.token or message.get("t") not in ("display", "done"):
                raise Forged("wrong token")
        return messages


class Cells(Python):
    """A program's own process, without IPython: see `cells`."""

    name = "cells"

    @staticmethod
    def _main(keeper: Keeper, connection: socket.socket) -> None:
        from . import cells

        _handle_signals_as_python_does()
        cells.serve(connection, cells.prepare(), iter(()))

    def ask(self, code: str, message: Message) -> bytes:
        """The bytes of a request to run `code`."""
        self.token = os.urandom(16).hex()
        place = {key: message[key] for key in ("env", "name", "line", "mode")}
        return wire.encode({"token": self.token, **place}, code.encode())


class _Lines:
    """An interpreter in another language, whose answers end with NUL."""

    soft_interrupt = False

    def __init__(self, keeper: Keeper, arguments: list[str], *, address_space: bool = True) -> None:
        def main(connection: socket.socket) -> None:
            os.dup2(connection.fileno(), 3)
            os.execv(arguments[0], arguments)

        self.child = children.fork(main, keeper, connected=True, address_space=address_space)
        self._buffer = b""
        self.token = ""

    def answers(self, data: bytes) -> list[Message]:
        """Messages in what was received. Raises Forged."""
        *lines, self._buffer = (self._buffer + data).split(b"\0")
        if len(self._buffer) > _ANSWER_LIMIT:
            raise Forged("endless answer")
        return [message for line in lines for message in self._messages(line)]

    def _messages(self, line: bytes) -> list[Message]:
        raise NotImplementedError


class Bash(_Lines):
    """One bash process: variables, functions and the directory persist."""

    name = "bash"

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(keeper, [_BASH, "--norc", "--noprofile", os.path.join(_GUEST, "repl.sh")])

    def ask(self, code: str, message: Message) -> bytes:
        """The bytes of a request to run `code`."""
        self.token = os.urandom(16).hex()
        before: list[str] = []
        after: list[str] = []
        for name, value in message["env"].items():
            before.append(
                f"__had_{name}=${{{name}+x}} __old_{name}=${name}; export {name}={shlex.quote(value)}"
            )
            after.append(
                f'if [ -n "$__had_{name}" ]; then {name}=$__old_{name}; else unset {name}; fi;'
                f" unset __had_{name} __old_{name}"
            )
        fields = (self.token, "\n".join(before), code, "\n".join(after))
        return b"".join(field.replace("\0", "").encode() + b"\0" for field in fields)

    def _messages(self, line: bytes) -> list[Message]:
        token, _, status = line.decode("utf-8", "replace").partition(" ")
        if token != self.token or not status.isdigit():
            raise Forged("wrong token")
        error: Message | None = None
        if status != "0":
            value = f"exit status {status}"
            error = {"name": "ExitStatus", "value": value, "line": None, "traceback": ""}
        return [{"t": "done", "error": error}]


class JavaScript(_Lines):
    """One Node process."""

    name = "javascript"

    def __init__(self, keeper: Keeper) -> None:
        # V8 reserves tens of gigabytes of address space that it never uses.
        script = os.path.join(_GUEST, "repl.js")
        super().__init__(keeper, [keeper.node or "", script], address_space=False)

    def ask(self, code: str, message: Message) -> bytes:
        """The bytes of a request to run `code`."""
        self.token = os.urandom(16).hex()
        request = {"token": self.token, "code": code, "env": message["env"]}
        return json.dumps(request).encode() + b"\0"

    def _messages(self, line: bytes) -> list[Message]:
        try:
            reply: Any = json.loads(line)
            if reply["token"] != self.token:
                raise Forged("wrong token")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Forged("not JSON") from error
        done: Message = {"t": "done", "error": reply.get("error")}
        if "text" in reply:
            shown: Message = {
                "t": "display",
                "data": {"text/plain": str(reply["text"])},
                "main": True,
            }
            return [shown, done]
        return [done]


LANGUAGES: dict[str, Callable[[Keeper], Interpreter]] = {
    Python.name: Python.start,
    Cells.name: Cells.start,
    Bash.name: Bash,
    JavaScript.name: JavaScript,
}
