"""What a session is doing: running code, running a command, touching a file.

Each activity is driven by the keeper: it names the descriptors it waits for and its deadline, and is handled
whenever one of them is due. How it ended is decided here, from the wait status, the clock and our own signals,
never from what user code printed.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

from . import children, files, interpreters, wire
from .capture import Capture
from .children import Child
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from .keeper import Keeper


LANGUAGES = interpreters.LANGUAGES
_GRACE_SECONDS = 1.0  # between the interrupt and the kill
_MOST_DISPLAYS = 200
_MOST_DISPLAY_BYTES = 48 * 1024**2
_NO_DEADLINE = float("inf")
_LONGEST_TEXT = 100_000  # of an error; the kernel cuts earlier, unless it lies


def start(keeper: Keeper, message: Message, body: bytes) -> Activity:
    """The activity for a request."""
    if message["op"] == "run":
        return _Run(keeper, message, body)
    if message["op"] == "command":
        return _Command(keeper, message)
    if message["op"] == "list":
        return _Listing(keeper, message)
    if message["op"] == "end":
        return _End(keeper, message)
    return _FileOperation(keeper, message, body)


class Activity:
    """What all have in common: output captured, a deadline, an answer."""

    child: Child

    def __init__(self, keeper: Keeper, message: Message) -> None:
        self.keeper = keeper
        self.number: int = message["id"]
        self.finished = False
        self._began_ticks = children.now_in_ticks()
        self._captures = {
            stream: Capture(keeper.limits["output_bytes"]) for stream in ("stdout", "stderr")
        }
        self._began = time.monotonic()
        self.deadline: float = self._began + message.get("timeout", _NO_DEADLINE)
        self._stopped = ""  # why we are ending it: timed_out or cancelled

    def readers(self) -> list[int | socket.socket]:
        """Descriptors to read from."""
        return [*self.child.outputs]

    def writers(self) -> list[int | socket.socket]:
        """Descriptors to write to."""
        return []

    def handle(self, ready: Sequence[int | socket.socket]) -> None:
        """Something may be due."""
        self.child.read_output(self._output)
        if self.child.status is not None:
            self._child_ended()
        elif time.monotonic() >= self.deadline:
            self._stop("timed_out")

    def cancel(self) -> None:
        """The host does not want it any more."""
        self._stop("cancelled")

    def _child_ended(self) -> None:
        raise NotImplementedError

    def _stop(self, why: str) -> None:
        raise NotImplementedError

    def _output(self, stream: str, data: bytes) -> None:
        head = self._captures[stream].take(data)
        if head:
            self.keeper.send({"t": "out", "id": self.number, "s": stream}, head)

    def _finish(self, message: Message, body: bytes = b"") -> None:
        tails = {stream: capture.finish() for stream, capture in self._captures.items()}
        for stream, (tail, _) in tails.items():
            if tail:
                self.keeper.send({"t": "tail", "id": self.number, "s": stream}, tail)
        dropped = {stream: count for stream, (_, count) in tails.items()}
        seconds = time.monotonic() - self._began
        answer = {"t": "done", "id": self.number, "dropped": dropped, "seconds": seconds}
        self.finished = True
        self.keeper.send({**answer, **message}, body)


class _Run(Activity):
    """Code in an interpreter."""

    def __init__(self, keeper: Keeper, message: Message, body: bytes) -> None:
        super().__init__(keeper, message)
        language = message["language"]
        self._lost = keeper.take_loss(language)
        self._interpreter = keeper.interpreter(language)
        self.child = self._interpreter.child
        self._displays = 0
        self._display_bytes = 0
        self._left_out = 0
        self._channel_open = True
        self._unsent = self._interpreter.ask(body.decode(), message)
        self._push()

    def readers(self) -> list[int | socket.socket]:
        return [*self.child.outputs, *([self.child.connection] if self._channel_open else [])]

    def writers(self) -> list[int | socket.socket]:
        return [self.child.connection] if self._unsent and self._channel_open else []

    def handle(self, ready: Sequence[int | socket.socket]) -> None:
        if self._unsent:
            self._push()
        if self._channel_open and self.child.connection in ready:
            self._receive()
        if not self.finished:
            super().handle(ready)

    def _push(self) -> None:
        try:
            sent = self.child.connection.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # it is dead; reading will show how

    def _receive(self) -> None:
        data = _receive(self.child.connection)
        if not data:
            # It is about to end, and then its status says how; or user code closed our channel.
            self._channel_open = False
            self.deadline = min(self.deadline, time.monotonic() + _GRACE_SECONDS)
            return
        try:
            for message in self._interpreter.answers(data):
                if message["t"] == "display":
                    self._display(message)
                else:
                    self._done(message)
                    return
        except (interpreters.Forged, RecursionError):
            self._end_interpreter("forged")

    def _display(self, message: Message) -> None:
        data = json.dumps(message.get("data")).encode()
        self._displays += 1
        self._display_bytes += len(data)
        if self._displays > _MOST_DISPLAYS or self._display_bytes > _MOST_DISPLAY_BYTES:
            self._left_out += 1
            return
        # As a body: the host parses what user code says only where it is prepared for anything.
        frame = {"t": "display", "id": self.number, "main": bool(message.get("main"))}
        self.keeper.send(frame, data)

    def _done(self, message: Message) -> None:
        error = _plain_error(message.get("error"))
        if message.get("broken"):
            self._end_interpreter("", error)
            return
        self.child.drain(self._output)
        if self._stopped:
            spared = self.child.pid
            if not children.kill_started_since(self._began_ticks, spared=spared):
                self._end_interpreter(self._stopped, error)
                return
        self._answer(error, self._stopped, said=message)

    def _answer(
        self,
        error: Any,
        how: str,
        *,
        status: int | None = None,
        lost: bool = False,
        said: Message | None = None,
    ) -> None:
        answer = {
            "how": how,
            "error": error,
            "status": status,
            "displays_left_out": self._left_out,
        }
        details = _plain_details(said or {})
        loss = {"lost": lost or self._lost, "lost_before": self._lost}
        self._finish({**answer, **details, **loss})

    def _child_ended(self) -> None:
        self._end_interpreter("ended")

    def _end_interpreter(self, how: str, error: Message | None = None) -> None:
        """The interpreter is dead or must die; either way its variables are gone."""
        children.kill_all()
        self.child.drain(self._output)
        self.keeper.forget_interpreters()
        self.keeper.take_loss(self._interpreter.name)
        self._answer(error, self._stopped or how, status=self.child.status, lost=True)

    def _stop(self, why: str) -> None:
        if not self._channel_open:
            self._end_interpreter("channel_closed")
        elif self._stopped or not self._interpreter.soft_interrupt:
            self._stopped = self._stopped or why
            self._end_interpreter(self._stopped)
        else:
            self._stopped = why
            self.child.signal_group(signal.SIGINT)
            self.deadline = time.monotonic() + _GRACE_SECONDS


class _Command(Activity):
    """A command of its own, beside the interpreters."""

    def __init__(self, keeper: Keeper, message: Message) -> None:
        super().__init__(keeper, message)

        def main(_connection: None) -> None:
            _execute(message)

        self.child = Child(main, keeper, connected=False)

    def _child_ended(self) -> None:
        if self._stopped:
            self.child.drain(self._output)
        # What it left running in the background holds the pipes open, perhaps for ever.
        self.child.read_output(self._output)
        self.child.close()
        self._finish({"how": self._stopped or "ended", "status": self.child.status})

    def _stop(self, why: str) -> None:
        if not children.kill_started_since(self._began_ticks, spared=0):
            self.keeper.forget_interpreters()
        self._stopped = self._stopped or why
        self.deadline = _NO_DEADLINE


class _End(Activity):
    """Everything in the session killed, and gone, before the answer."""

    def __init__(self, keeper: Keeper, message: Message) -> None:
        super().__init__(keeper, message)
        children.kill_all()
        keeper.forget_interpreters()
        children.wait_for_all()
        self._finish({})


def _plain_error(error: Any) -> Message | None:
    """What an interpreter said of an exception, as what the host expects it to be.

    Raises Forged if it is nothing of the kind.
    """
    if error is None:
        return None
    if not isinstance(error, dict):
        raise interpreters.Forged("no error")
    said = cast("Message", error)
    line = said.get("line")
    texts = {key: str(said.get(key, ""))[:_LONGEST_TEXT] for key in ("name", "value", "traceback")}
    return {**texts, "line": line if isinstance(line, int) else None}


def _plain_details(said: Message) -> Message:
    kinds = {"value": str, "cpu": (int, float), "peak": (int, float)}
    return {key: said[key] for key, kind in kinds.items() if isinstance(said.get(key), kind)}


def _execute(message: Message) -> NoReturn:
    arguments: list[str] = message["argv"]
    try:
        os.chdir(message["cwd"] or ".")
    except (OSError, ValueError) as error:
        _refuse(message["cwd"], error, 126)
    try:
        os.environ.update(message["env"])
        os.execvp(arguments[0], arguments)
    except FileNotFoundError:
        _refuse(arguments[0], "command not found", 127)
    except (OSError, ValueError) as error:
        _refuse(arguments[0], error, 126)


def _refuse(what: str, why: object, code: int) -> NoReturn:
    # 126 and 127 are what a shell exits with for the same.
    reason = why.strerror if isinstance(why, OSError) else why
    os.write(2, f"{what}: {reason}\n".encode(errors="replace"))
    os._exit(code)


def _receive(connection: socket.socket) -> bytes:
    """What has arrived; empty if the other side hung up, in whatever way."""
    try:
        return connection.recv(1 << 18)
    except OSError:
        return b""


class _Listing(Activity):
    """What is below a directory. Names and sizes harm nobody, so it costs no process of its own."""

    def __init__(self, keeper: Keeper, message: Message) -> None:
        super().__init__(keeper, message)
        self._finish(*files.serve(message, b""))


class _FileOperation(Activity):
    """Reading, writing or listing, in a child without rights that answers with one frame."""

    def __init__(self, keeper: Keeper, message: Message, body: bytes) -> None:
        super().__init__(keeper, message)

        def main(connection: socket.socket) -> None:
            connection.sendall(wire.encode(*files.serve(message, body)))

        self.child = Child(main, keeper, connected=True)
        self.child.connection.setblocking(True)
        self._reader = wire.FrameReader()

    def readers(self) -> list[int | socket.socket]:
        return [self.child.connection]

    def handle(self, ready: Sequence[int | socket.socket]) -> None:
        if self.child.connection in ready:
            data = _receive(self.child.connection)
            frames = self._reader.feed(data)
            if frames:
                self._end(*frames[0])
            elif not data:
                self._end({"error": "the file operation was killed", "errno": "EINTR"}, b"")
        elif time.monotonic() >= self.deadline:
            self._stop("timed_out")

    def _stop(self, why: str) -> None:
        self._end({"error": "the file operation did not end", "errno": "ETIMEDOUT"}, b"")

    def _end(self, message: Message, body: bytes) -> None:
        self.child.signal_group(signal.SIGKILL)
        self.child.close()
        self._finish(message, body)
